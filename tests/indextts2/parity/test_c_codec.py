"""The semantic codec against the parity kit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from vtune_indextts2.semantic.codec import UNUSED_ENTRIES, SemanticCodec
from vtune_indextts2.state_dicts import fold_weight_norm, load_strictly

FILE = "semantic_codec/model.safetensors"


@pytest.fixture
def fx(kit: Callable[[str], Any]) -> Any:
    return kit("c_codec")


@torch.no_grad()
def results(codec: SemanticCodec, fx: Any) -> Iterator[tuple[str, str, torch.Tensor]]:
    for case, facts in fx.json["cases"].items():
        if "x" in facts["inputs"]:
            x = fx.inp(case, "x")
            encoded = codec.encode(x)
            codes, embedding = codec.quantize(x)
            projected = codec.quantizer.only.in_project(encoded.transpose(1, 2)).transpose(1, 2)
            yield from ((case, "encoded", encoded), (case, "projected", projected))
            yield from ((case, "codes", codes), (case, "emb", embedding))
            assert codes.dtype == torch.int64
        else:
            yield case, "emb", codec.lookup(fx.inp(case, "codes")).transpose(1, 2)


def test_codes_and_embeddings(fx: Any) -> None:
    with torch.device("meta"):
        codec = SemanticCodec(**{name: value for name, value in fx.config.items() if name != "real"})
    load_strictly(codec, fold_weight_norm(fx.weights("codec")), FILE, UNUSED_ENTRIES)
    failures = []
    for case, name, got in results(codec.eval(), fx):
        try:
            fx.compare(case, name, got)
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


def test_the_network_in_its_real_size_takes_the_released_names(kit_folder: Path) -> None:
    keys = json.loads((kit_folder / "real_keys.json").read_text(encoding="utf-8"))
    listed = keys["files"][FILE]["tensors"]
    tensors = {name: torch.empty(shape, dtype=getattr(torch, kind), device="meta") for name, shape, kind in listed}
    with torch.device("meta"):
        codec = SemanticCodec(**keys["config_yaml"]["semantic_codec"])
        default = SemanticCodec()
    load_strictly(codec, fold_weight_norm(tensors), FILE, UNUSED_ENTRIES)
    load_strictly(default, fold_weight_norm(tensors), FILE, UNUSED_ENTRIES)
