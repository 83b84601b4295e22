from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vtune_indextts2.state_dicts import fold_weight_norm, load_strictly
from vtune_indextts2.vocoder.activation import lowpass_filter
from vtune_indextts2.vocoder.bigvgan import UNUSED_ENTRIES, BigVGAN
from vtune_indextts2.vocoder.settings import BigVGANSettings


@pytest.fixture(scope="module")
def fx(kit: Callable[[str], Any]) -> Any:
    return kit("g_vocoder")


@pytest.fixture(scope="module")
def network(fx: Any) -> BigVGAN:
    with torch.device("meta"):
        network = BigVGAN(BigVGANSettings.read(fx.config, "config.json"))
    load_strictly(network, fold_weight_norm(fx.weights("bigvgan")), "bigvgan_generator.pt", UNUSED_ENTRIES)
    return network.eval()


def test_every_case_gives_the_reference_numbers(fx: Any, network: BigVGAN) -> None:
    wrong = []
    for name, case in fx.json["cases"].items():
        got = network(*(fx.inp(name, given) for given in case["inputs"]))
        for output in case["outputs"]:
            try:
                fx.compare(name, output, got)
            except AssertionError as error:
                wrong.append(str(error))
    assert not wrong, "\n".join(wrong)


def test_the_filter_in_the_file_is_the_one_that_is_computed(fx: Any) -> None:
    filters = [tensor for name, tensor in fx.weights("bigvgan").items() if name.endswith(".filter")]
    assert filters
    for stored in filters:
        torch.testing.assert_close(torch.tensor(lowpass_filter()), stored.flatten(), rtol=0, atol=1e-7)


def test_the_real_file_fits_a_network_of_the_real_size(kit_folder: Path) -> None:
    files = json.loads((kit_folder / "real_keys.json").read_text(encoding="utf-8"))["files"]
    described = files["bigvgan_generator.pt"]
    tensors = {
        name: torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
        for name, shape, dtype in described["tensors"]
    }
    settings = BigVGANSettings.read(described["config"], "config.json")
    with torch.device("meta"):
        network = BigVGAN(settings)
    assert load_strictly(network, fold_weight_norm(tensors), "bigvgan_generator.pt", UNUSED_ENTRIES) == []
