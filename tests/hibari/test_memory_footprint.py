"""The estimate of a training's memory against what autograd really keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_hibari import ALIGN_ANYTHING, new_base

import vtune
import vtune_hibari
from vtune_hibari.memory_footprint import estimate

LORA = vtune.LoraSettings(rank=4, alpha=8, targets=("all",))
TARGETS = vtune_hibari.engine_info().lora_targets


def kept_bytes(base: Any, model: Any, seconds: float) -> int:
    """Return the bytes that a forward pass of one clip keeps for the backward pass, weights left out."""
    weights = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    sound = np.random.default_rng(0).normal(0, 0.1, round(seconds * 24_000)).astype(np.float32)
    clip = vtune.Clip("1", "anna", "həlˈO wˈɜɹld " * int(seconds), sound, 24_000)
    row = {**vtune_hibari.prepare_sample(base, clip), "lot": np.float64(0.3)}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(**vtune_hibari.collate([row]))["loss"]
    assert loss.requires_grad
    return sum(kept.values())


def test_the_estimate_is_near_what_autograd_keeps(small_onnx: Path) -> None:
    pytest.importorskip("hibari")
    base = new_base(small_onnx, **ALIGN_ANYTHING)
    model = vtune.attach_lora(base.new_network(), LORA, TARGETS)
    per_sample = (kept_bytes(base, model, 4.0) - kept_bytes(base, model, 2.0)) / 48_000
    assert estimate(base.options, LORA, TARGETS).token_bytes == pytest.approx(per_sample, rel=0.35)


def test_what_is_trained_is_counted(small_onnx: Path) -> None:
    base = new_base(small_onnx)
    footprint = estimate(base.options, LORA, TARGETS)
    assert footprint.parameters == sum(parameter.numel() for parameter in base.new_network().parameters())
    model = vtune.attach_lora(base.new_network(), LORA, TARGETS)
    assert footprint.trainable == sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
