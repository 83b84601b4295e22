from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from vtune_indextts2.s2mel.network import LATENT_DIMS, S2Mel
from vtune_indextts2.s2mel.settings import S2MelSettings
from vtune_indextts2.state_dicts import flatten_state_dict, fold_weight_norm, load_strictly


def latent_dims(named: Iterable[tuple[str, list[int]]]) -> list[int]:
    """Return the widths of the latent projection, from the shapes of its maps in their order."""
    shapes = [shape for name, shape in named if name.startswith("gpt_layer.") and name.endswith(".weight")]
    return [shapes[0][1], *(shape[0] for shape in shapes)]


@pytest.fixture(scope="module")
def fx(kit: Callable[[str], Any]) -> Any:
    return kit("e_s2mel")


@pytest.fixture(scope="module")
def network(fx: Any) -> S2Mel:
    dims = latent_dims((name, shape) for name, shape, *_ in fx.json["weights"]["s2mel"]["tensors"])
    with torch.device("meta"):
        network = S2Mel(S2MelSettings.read(fx.config, "config.yaml"), dims)
    load_strictly(network, fold_weight_norm(fx.weights("s2mel")), "s2mel.pth", network.unused)
    return network.eval()


def computed(network: S2Mel, given: dict[str, Any]) -> torch.Tensor:
    """Return the result of a case; the names of its inputs show what the case asks for."""
    match sorted(given):
        case ["latent"]:
            return network.project(**given)
        case ["frames", "x"]:
            return network.condition(given["x"], given["frames"])
        case ["lengths", "mu", "prompt", "style", "t", "x"]:
            with torch.no_grad():
                velocity: torch.Tensor = network.cfm.estimator(**given)
            return velocity
        case ["cfg_rate", "mu", "noise", "ref_mel", "steps", "style"]:
            return network.flow(guidance=given.pop("cfg_rate"), **given)
    raise AssertionError(f"a case of unknown kind: {sorted(given)}")


def test_every_case_gives_the_reference_numbers(fx: Any, network: S2Mel) -> None:
    wrong = []
    for name, case in fx.json["cases"].items():
        got = computed(network, {given: fx.inp(name, given) for given in case["inputs"]})
        for output in case["outputs"]:
            try:
                fx.compare(name, output, got)
            except AssertionError as error:
                wrong.append(str(error))
    assert not wrong, "\n".join(wrong)


def test_the_tensors_left_out_are_those_that_the_reference_does_not_use(fx: Any, network: S2Mel) -> None:
    absent = fold_weight_norm(fx.weights("s2mel")).keys() - network.state_dict().keys()
    unused = {name.removesuffix("_g").removesuffix("_v") for name in fx.unused("s2mel")}
    assert unused <= absent
    assert {name.split(".")[-1] for name in absent - unused} <= {"freqs", "input_pos"}  # constants


def test_the_real_file_fits_a_network_of_the_real_size(kit_folder: Path) -> None:
    keys = json.loads((kit_folder / "real_keys.json").read_text(encoding="utf-8"))
    nested = {
        part: {name: torch.empty(shape, dtype=getattr(torch, dtype), device="meta") for name, shape, dtype in tensors}
        for part, tensors in keys["files"]["s2mel.pth"]["nested"].items()
    }
    tensors = fold_weight_norm(flatten_state_dict(nested, Path("s2mel.pth")))
    with torch.device("meta"):
        network = S2Mel(S2MelSettings.read(keys["config_yaml"]["s2mel"], "config.yaml"))
    assert latent_dims((name, list(tensor.shape)) for name, tensor in tensors.items()) == list(LATENT_DIMS)
    assert load_strictly(network, tensors, "s2mel.pth", network.unused) == []
