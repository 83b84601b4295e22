"""CAM++ against the parity kit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vtune_indextts2.speaker.campplus import CAMPPlus
from vtune_indextts2.state_dicts import fold_weight_norm, load_strictly

FILE = "campplus_cn_common.bin"


@pytest.fixture
def fx(kit: Callable[[str], Any]) -> Any:
    return kit("f_speaker")


@torch.no_grad()
def test_speaker_embeddings(fx: Any) -> None:
    with torch.device("meta"):
        network = CAMPPlus(**fx.config)
    load_strictly(network, fold_weight_norm(fx.weights("campplus")), FILE)
    failures = []
    for case in fx.json["cases"]:
        try:
            fx.compare(case, "style", network(fx.inp(case, "fbank")))
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


def test_the_network_in_its_real_size_takes_the_released_names(kit_folder: Path) -> None:
    listed = json.loads((kit_folder / "real_keys.json").read_text(encoding="utf-8"))["files"][FILE]["tensors"]
    tensors = {name: torch.empty(shape, dtype=getattr(torch, kind), device="meta") for name, shape, kind in listed}
    with torch.device("meta"):
        network = CAMPPlus()
    load_strictly(network, fold_weight_norm(tensors), FILE)
