"""Operations and bytes of training at the exact shape of IndexTTS2's GPT, counted without values; no clock decides."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vtune
from vtune.training.memory_estimate import training_bytes
from vtune_indextts2.memory_footprint import estimate
from vtune_indextts2.options import IndexTTS2Options

pytestmark = pytest.mark.xdist_group("indextts2-gate")  # or each worker would count the same cases

GIB = 2**30
WIDTH, LAYERS, PREFIX, CODES, PIECES = 1280, 24, 34, 8194, 12_001
EIGHT, UNEQUAL = (10.0,) * 8, (3.0, 4.0, 5.0, 6.0, 6.5, 7.0, 9.0, 13.0)
"""Seconds of the clips of a pass."""


@pytest.fixture(scope="module")
def gate(benchmark: Callable[[str], Any]) -> Any:
    return benchmark("indextts2_gate")


@pytest.fixture(scope="module")
def measured(gate: Any) -> Callable[..., Any]:
    """Return a function that counts each case once for all tests."""
    result: dict[Any, Any] = {}

    def measure(seconds: tuple[float, ...], checkpointing: bool = True) -> Any:
        case = gate.PassCase(seconds, checkpointing)
        if case not in result:
            result[case] = gate.measure(case)
        return result[case]

    return measure


def by_hand(seconds: tuple[float, ...]) -> tuple[float, int]:
    """Return the operations of a training step without checkpointing, and the positions of the clips, from the
    published sizes.
    """
    body, adapter = LAYERS * 12 * WIDTH**2, 16 * 20_480 * LAYERS
    operations, positions = 0.0, 0
    for duration in seconds:
        text, codes = round(4 * duration) + 2, round(50 * duration) + 1
        length = PREFIX + text + codes
        # Forward and backward through what is frozen, a third time as much for what learns; a head at its own block.
        operations += length * (4 * body + 6 * adapter)
        operations += 4 * WIDTH * (codes * CODES + (text - 1) * PIECES)
        operations -= length * 2 * 3 * WIDTH**2  # what is embedded learns nothing, so it gets no gradient
        positions += length
    return operations, positions


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [EIGHT, UNEQUAL])
def test_operations_of_a_token_are_those_of_clips_without_padding(
    measured: Callable[..., Any], seconds: tuple[float, ...]
) -> None:
    measurement = measured(seconds, checkpointing=False)
    operations, positions = by_hand(seconds)
    assert measurement.trainable == 7_864_320
    assert measurement.flops_per_token == pytest.approx(operations / positions, rel=0.01)
    assert measurement.flops_per_token <= 2e9


@pytest.mark.slow
def test_eight_clips_of_ten_seconds_take_less_than_three_gib(measured: Callable[..., Any]) -> None:
    assert measured(EIGHT).peak_bytes <= 3 * GIB


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [True, False])
@pytest.mark.parametrize("seconds", [EIGHT, UNEQUAL, (10.0,)])
def test_a_plan_is_within_fifteen_percent(
    measured: Callable[..., Any], gate: Any, tmp_path: Path, seconds: tuple[float, ...], checkpointing: bool
) -> None:
    shutil.copy(gate.CONFIG, tmp_path / "config.yaml")
    engine = vtune.load_engine("indextts2")
    lora = vtune.LoraSettings(rank=16, alpha=32, targets=("attention+mlp",))
    footprint = estimate(IndexTTS2Options(base_model=str(tmp_path)), lora, 2, engine.info.lora_targets)
    planned = training_bytes(footprint, by_hand(seconds)[1], checkpointing)
    assert planned == pytest.approx(measured(seconds, checkpointing).peak_bytes, rel=0.15)


def test_counting_is_the_same_every_time_and_sees_what_checkpointing_saves(gate: Any) -> None:
    small = {"model_dim": 128, "heads": 2, "layers": 4}
    lean, again = (gate.measure(gate.PassCase((2.0, 1.0)), **small) for _ in range(2))
    full = gate.measure(gate.PassCase((2.0, 1.0), checkpointing=False), **small)
    assert lean == again
    assert lean.peak_bytes < full.peak_bytes
    assert lean.flops_per_token > full.flops_per_token


@pytest.mark.parametrize("release", ["2.0", "2.5"])
def test_every_part_that_listens_or_speaks_is_counted_from_configurations_alone(release: Any, tmp_path: Path) -> None:
    import torch

    from vtune_indextts2 import nano_checkpoint
    from vtune_indextts2.base import IndexTTS2Base

    nano_checkpoint.build(tmp_path, release=release)
    options = IndexTTS2Options(base_model=str(tmp_path))
    base = IndexTTS2Base(options, torch.device("cpu"), torch.float32)

    def size(*networks: torch.nn.Module) -> int:
        return sum(4 * tensor.numel() for network in networks for tensor in network.state_dict().values())

    listening = size(base.semantic._model, base.codec, base.conditioning_encoder, base.speaker_model)
    decoders = [base.codec] if release == "2.5" else []
    speaking = size(base.s2mel, base.vocoder, *decoders)
    for path in tmp_path.rglob("*"):
        if path.suffix in (".pth", ".pt", ".bin", ".safetensors"):
            path.unlink()  # no weight is read
    footprint = vtune.load_engine("indextts2").footprint(options, vtune.LoraSettings(rank=4), 4)
    assert footprint is not None
    assert (footprint.listening_bytes, footprint.speaking_bytes) == (listening, speaking)
