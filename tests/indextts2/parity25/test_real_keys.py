"""Files of the published sizes of IndexTTS-2.5, by name and shape: what the small fixtures leave open."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from vtune_indextts2 import part_loaders
from vtune_indextts2.config import Config, read_config
from vtune_indextts2.memory_footprint import empty_codec, empty_network
from vtune_indextts2.multilingual.tokens import special_tokens
from vtune_indextts2.s2mel.network import LATENT_DIMS

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "indextts25.yaml"


@pytest.fixture(scope="module")
def released(kit25_folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((kit25_folder / "real_keys25.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def config(released: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Config:
    path = tmp_path_factory.mktemp("released") / "config.yaml"
    path.write_text(yaml.safe_dump(released["config_yaml"]), encoding="utf-8")
    return read_config(path)


def thin(tensors: list[list[Any]]) -> dict[str, torch.Tensor]:
    """Return tensors of the listed shapes that take one number each on disk and in memory."""
    return {name: torch.ones((), dtype=getattr(torch, kind)).expand(shape) for name, shape, kind in tensors}


def test_the_published_configuration_is_recognised_whatever_version_it_names(
    released: dict[str, Any], config: Config, tmp_path: Path
) -> None:
    assert config.release == "2.5"
    for version in (2.0, "2.0", 2.5, None):
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({**released["config_yaml"], "version": version}))
        assert read_config(tmp_path / "config.yaml").release == "2.5"
    places = (config.gpt.text_rows, config.gpt.text_positions, config.gpt.mel_positions, config.gpt.prefix)
    assert places == (60_510, 602, 1_818, 3)


def test_the_benchmark_has_the_published_sizes(config: Config) -> None:
    assert read_config(BENCHMARK).model_dump() == config.model_dump()


def test_the_gpt_and_its_encoder_use_each_number_of_the_file(
    released: dict[str, Any], config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = released["files"]["gpt.pth"]
    tensors = thin(listed["tensors"])
    left_over = {"inference_model.transformer.h.0.ln_1.weight": torch.ones(1), "gpt.wte.weight": torch.ones(1, 2)}
    torch.save({"model": {**tensors, **left_over}}, tmp_path / "gpt.pth")
    network = part_loaders.load_network(tmp_path / "gpt.pth", config, dropout=0.1)
    encoder = part_loaders.load_conditioning_encoder(tmp_path / "gpt.pth", config)
    tables = sum(tensor.numel() for name, tensor in tensors.items() if name.endswith(".pe"))
    count = sum(parameter.numel() for part in (network, encoder) for parameter in part.parameters())
    assert count + tables == listed["elements"] == 814_849_460
    assert not caplog.records, "something in the file is not used"
    assert {name: p.shape for name, p in empty_network(config).named_parameters()} == {
        name: p.shape for name, p in network.named_parameters()
    }


def test_what_2_5_removed_and_added_is_what_the_networks_differ_in(released: dict[str, Any], config: Config) -> None:
    names = set(empty_network(config).state_dict())
    difference = released["difference_to_2_0"]["gpt.pth"]
    assert difference["added"].keys() <= names
    assert not [name for name in names if name.startswith(tuple(difference["removed_prefixes"]))]
    for name, (_, shape) in difference["changed_shape"].items():
        assert list(empty_network(config).state_dict()[name].shape) == shape


def test_the_codec(released: dict[str, Any], config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listed = released["files"]["codec.pth"]
    torch.save({"model": thin(listed["tensors"]), "epoch": 3}, tmp_path / "codec.pth")
    codec = part_loaders.load_half_rate_codec(tmp_path / "codec.pth", config)
    folded = sum(tensor.numel() for tensor in codec.state_dict().values())
    norms = sum(shape[0] for name, shape, _ in listed["tensors"] if name.endswith("weight_g"))
    assert folded + norms == listed["elements"]
    assert {name: tensor.shape for name, tensor in empty_codec(config).state_dict().items()} == {
        name: tensor.shape for name, tensor in codec.state_dict().items()
    }
    assert codec.quantizer.only.codebook.num_embeddings == config.gpt.start_mel_token
    assert not caplog.records, "something in the file is not used"


@pytest.mark.parametrize("left_over", [False, True])
def test_s2mel_with_and_without_the_projection_of_before(
    left_over: bool, released: dict[str, Any], config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    net = {part: thin(tensors) for part, tensors in released["files"]["s2mel.pth"]["nested"].items()}
    if left_over:
        widths = pairwise(LATENT_DIMS)
        net["gpt_layer"] = {
            f"{index}.weight": torch.ones(after, before) for index, (before, after) in enumerate(widths)
        }
    torch.save({"net": net, "epoch": 3}, tmp_path / "s2mel.pth")
    network = part_loaders.load_s2mel(tmp_path / "s2mel.pth", config)
    assert not any(name.startswith("gpt_layer") for name in network.state_dict())
    assert not caplog.records, "something in the file is not used"


def test_the_parts_that_are_those_of_2_0(released: dict[str, Any]) -> None:
    """The kit of IndexTTS-2 proves these; a kit that says otherwise needs tests of its own."""
    assert all(released["same_as_2_0"].values())


def test_ranks_and_special_tokens_make_the_published_number(released: dict[str, Any], config: Config) -> None:
    layout = released["files"][config.bpe_model]["layout"]
    assert f"{config.gpt.number_text_tokens - len(special_tokens())} ranks" in layout


def test_the_tables_of_emotions(released: dict[str, Any], config: Config, tmp_path: Path) -> None:
    for name in ("feat1.pt", "feat2.pt"):
        [(_, shape, kind)] = released["files"][name]["tensors"]
        torch.save(torch.ones(shape, dtype=getattr(torch, kind)), tmp_path / name)
    table = part_loaders.load_emotions(tmp_path / "feat2.pt", tmp_path / "feat1.pt", config)
    assert (table.emotions.shape[1], table.speakers.shape[1]) == (config.gpt.model_dim, config.gpt.style_dim)
