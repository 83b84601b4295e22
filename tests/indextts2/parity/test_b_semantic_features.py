"""w2v-BERT's normalised hidden state against the parity kit, through files as they are released."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

from vtune_indextts2.semantic import released_weights
from vtune_indextts2.semantic.features import SEMANTIC_LAYERS, SemanticEncoder
from vtune_indextts2.state_dicts import load_strictly

W2V_BERT = "w2v-bert-2.0"
STATISTICS = "wav2vec2bert_stats.pt"


@pytest.fixture
def fx(kit: Callable[[str], Any]) -> Any:
    return kit("b_semantic_features")


def test_features_from_released_files(fx: Any, tmp_path: Path) -> None:
    folder = tmp_path / W2V_BERT
    Wav2Vec2BertConfig(**fx.config["config"]).save_pretrained(folder)
    SeamlessM4TFeatureExtractor(padding_value=1.0).save_pretrained(folder)
    save_file(fx.weights("w2vbert"), folder / "model.safetensors", metadata={"format": "pt"})
    torch.save(fx.weights("stats"), tmp_path / STATISTICS)

    encoder = SemanticEncoder.load(str(folder), tmp_path / STATISTICS, fx.config["hidden_state_index"])
    failures = []
    for case in fx.json["cases"]:
        got = encoder.normalised(fx.inp(case, "input_features"), fx.inp(case, "attention_mask"))
        try:
            fx.compare(case, "feat", got)
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


def test_the_network_in_its_real_size_takes_the_released_names(kit_folder: Path) -> None:
    listed = json.loads((kit_folder / "real_keys.json").read_text(encoding="utf-8"))["files"][W2V_BERT]["tensors"]
    tensors = {name: torch.empty(shape, dtype=getattr(torch, kind), device="meta") for name, shape, kind in listed}
    config = Wav2Vec2BertConfig(num_hidden_layers=SEMANTIC_LAYERS, mask_time_prob=0.0)
    with torch.device("meta"):
        network = Wav2Vec2BertModel(config)
    above = range(SEMANTIC_LAYERS, Wav2Vec2BertConfig().num_hidden_layers)
    unused = ["masked_spec_embed", *(f"encoder.layers.{layer}.*" for layer in above)]
    load_strictly(network, tensors, W2V_BERT, unused)


def test_the_statistics_in_their_real_size_are_taken(kit_folder: Path, tmp_path: Path) -> None:
    listed = json.loads((kit_folder / "real_keys.json").read_text(encoding="utf-8"))["files"][STATISTICS]["tensors"]
    torch.save({name: torch.ones(shape) for name, shape, _ in listed}, tmp_path / STATISTICS)
    mean, var = released_weights.read_statistics(tmp_path / STATISTICS, Wav2Vec2BertConfig().hidden_size)
    assert mean.shape == var.shape
