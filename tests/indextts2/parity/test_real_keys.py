"""Files of the published sizes, by name and shape: written as they are published, and read by the real loaders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

from vtune_indextts2 import part_loaders
from vtune_indextts2.config import Config, read_config


@pytest.fixture(scope="module")
def released(kit_folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((kit_folder / "real_keys.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def config(released: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Config:
    path = tmp_path_factory.mktemp("released") / "config.yaml"
    files = {"gpt_checkpoint": "gpt.pth", "s2mel_checkpoint": "s2mel.pth", "w2v_stat": "wav2vec2bert_stats.pt"}
    tables = {"emo_matrix": "feat2.pt", "spk_matrix": "feat1.pt"}
    path.write_text(yaml.safe_dump({**released["config_yaml"], **files, **tables}), encoding="utf-8")
    return read_config(path)


def thin(tensors: list[list[Any]]) -> dict[str, torch.Tensor]:
    """Return tensors of the listed shapes that take one number each on disk and in memory."""
    return {name: torch.ones((), dtype=getattr(torch, kind)).expand(shape) for name, shape, kind in tensors}


def test_the_gpt_and_its_encoders(
    released: dict[str, Any], config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = released["files"]["gpt.pth"]
    tensors = thin(listed["tensors"])
    left_over = {"inference_model.transformer.h.0.ln_1.weight": torch.ones(1), "gpt.wte.weight": torch.ones(1, 2)}
    torch.save({"model": {**tensors, **left_over}}, tmp_path / "gpt.pth")
    network = part_loaders.load_network(tmp_path / "gpt.pth", config, dropout=0.1)
    encoder = part_loaders.load_conditioning_encoder(tmp_path / "gpt.pth", config)
    tables = sum(tensor.numel() for name, tensor in tensors.items() if name.endswith(".pe"))
    count = sum(p.numel() for part in (network, encoder) for p in part.parameters())
    assert count + tables == listed["elements"]
    assert not caplog.records, "something in the file is not used"
    renamed = {"module." + name.replace("c_attn.", "c_attn.base_layer."): t for name, t in tensors.items()}
    torch.save(renamed, tmp_path / "wrapped.pth")
    part_loaders.load_network(tmp_path / "wrapped.pth", config, dropout=0.1)


def test_s2mel(released: dict[str, Any], config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nested = released["files"]["s2mel.pth"]["nested"]
    net = {part: thin(tensors) for part, tensors in nested.items()}
    torch.save({"net": net, "epoch": 3}, tmp_path / "s2mel.pth")
    network = part_loaders.load_s2mel(tmp_path / "s2mel.pth", config)
    assert network.gpt_layer[0].in_features == config.gpt.model_dim
    assert not caplog.records, "something in the file is not used"


def test_codec_speaker_model_and_tables(
    released: dict[str, Any], config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = released["files"]
    codec = thin(files["semantic_codec/model.safetensors"]["tensors"])
    save_file({name: tensor.contiguous() for name, tensor in codec.items()}, str(tmp_path / "model.safetensors"))
    loaded = part_loaders.load_codec(tmp_path / "model.safetensors", config)
    assert loaded.quantizer.only.codebook.num_embeddings == config.gpt.start_mel_token
    torch.save(thin(files["campplus_cn_common.bin"]["tensors"]), tmp_path / "campplus_cn_common.bin")
    part_loaders.load_speaker_model(tmp_path / "campplus_cn_common.bin")
    for name in ("feat1.pt", "feat2.pt"):
        [(_, shape, kind)] = files[name]["tensors"]
        torch.save(torch.ones(shape, dtype=getattr(torch, kind)), tmp_path / name)
    table = part_loaders.load_emotions(tmp_path / "feat2.pt", tmp_path / "feat1.pt", config)
    assert table.emotions.shape[1] == config.gpt.model_dim
    assert not caplog.records, "something in a file is not used"


@pytest.mark.parametrize("folded", [False, True])
def test_the_vocoder(
    released: dict[str, Any], config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture, folded: bool
) -> None:
    listed = released["files"]["bigvgan_generator.pt"]
    tensors = thin(listed["tensors"])
    if folded:
        tensors = {
            name.replace("weight_v", "weight"): tensor
            for name, tensor in tensors.items()
            if not name.endswith("weight_g")
        }
    torch.save({"generator": tensors}, tmp_path / "bigvgan_generator.pt")
    (tmp_path / "config.json").write_text(json.dumps(listed["config"]), encoding="utf-8")
    part_loaders.load_vocoder(tmp_path / "config.json", tmp_path / "bigvgan_generator.pt", config)
    assert not caplog.records, "something in the file is not used"
