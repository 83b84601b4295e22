"""Operations and bytes of training at the exact shape of Orpheus 3B, counted without values; no clock decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vtune
from vtune.training.memory_estimate import training_bytes
from vtune_orpheus.memory_footprint import estimate
from vtune_orpheus.options import OrpheusOptions

pytestmark = pytest.mark.xdist_group("orpheus-gate")  # or each worker would count the same cases

GIB = 2**30


@pytest.fixture(scope="module")
def gate(benchmark: Callable[[str], Any]) -> Any:
    return benchmark("orpheus_gate")


@pytest.fixture(scope="module")
def measured(gate: Any) -> Any:
    """Return a function that counts each case once for all tests."""
    result: dict[Any, Any] = {}

    def measure(*shape: int, **settings: Any) -> Any:
        case = gate.Case(*shape, **settings)
        if case not in result:
            result[case] = gate.measure(case)
        return result[case]

    return measure


PLAIN, LONG, WIDE = (1, 1024), (1, 2048), (8, 1024)


@pytest.mark.slow
def test_operations_of_a_token(measured: Any) -> None:
    measurement = measured(*PLAIN, checkpointing=False)
    body, head, adapter = 28 * (2 * 3072 * 3072 + 2 * 3072 * 1024 + 3 * 3072 * 8192), 156_940 * 3072, 48_627_712
    assert measurement.trainable == adapter
    # Forward and backward through what is frozen, and a third time as much for what learns; all of it by hand.
    assert measurement.flops_per_token == pytest.approx(4 * (body + head) + 6 * adapter, rel=0.01)
    assert measurement.flops_per_token <= 13.5e9


@pytest.mark.slow
def test_a_loss_among_sound_takes_an_eighth_less(measured: Any) -> None:
    all_logits, sound = (
        measured(*PLAIN, checkpointing=False, sound=sound_only).flops_per_token for sound_only in (False, True)
    )
    saved = 4 * 3072 * (156_940 - 28_680)
    looked_at = 2 * 3072 * 156_940 * 64 / 1024  # at 64 of the 1024 places, for what is outside
    assert all_logits - sound == pytest.approx(saved - looked_at, rel=0.01)
    assert sound < 0.89 * all_logits


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "four_bit", "gib"),
    [(LONG, False, 7.6), pytest.param(WIDE, False, 10.2, marks=pytest.mark.proof), (LONG, True, 5.0)],
)
def test_bytes_at_the_peak(measured: Any, shape: tuple[int, int], four_bit: bool, gib: float) -> None:
    assert measured(*shape, four_bit=four_bit).peak_bytes <= gib * GIB


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "checkpointing", "four_bit"),
    [
        (LONG, True, False),
        pytest.param(WIDE, True, False, marks=pytest.mark.proof),
        (PLAIN, False, False),
        (LONG, True, True),
    ],
)
def test_a_plan_is_within_fifteen_percent(
    measured: Any, gate: Any, tmp_path: Path, shape: tuple[int, int], checkpointing: bool, four_bit: bool
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **gate.SHAPE}))
    options = OrpheusOptions(base_model=str(tmp_path), quantization="4bit" if four_bit else "none")
    engine = vtune.load_engine("orpheus")
    footprint = estimate(options, vtune.LoraSettings(rank=32, alpha=64), 2, engine.info.lora_targets)
    planned = training_bytes(footprint, shape[0] * shape[1], checkpointing)
    assert planned == pytest.approx(
        measured(*shape, checkpointing=checkpointing, four_bit=four_bit).peak_bytes, rel=0.15
    )


@pytest.mark.slow
def test_a_plan_for_float32_weights_is_within_fifteen_percent(measured: Any, gate: Any, tmp_path: Path) -> None:
    """A CPU trains with weights in float32 and products in bf16; the plan counts both, and everything beside the
    weights.
    """
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **gate.SHAPE}))
    engine, lora = vtune.load_engine("orpheus"), vtune.LoraSettings(rank=32, alpha=64)
    footprint = engine.footprint(OrpheusOptions(base_model=str(tmp_path)), lora, 4, 2)
    assert footprint is not None
    measurement = measured(1, 434, checkpointing=False, wide=True)
    planned = training_bytes(footprint, 434, False)
    assert planned == pytest.approx(measurement.peak_bytes, rel=0.15)
    static = footprint.weight_bytes + 12 * footprint.trainable
    assert planned - static == pytest.approx(measurement.peak_bytes - measurement.static_bytes, rel=0.25)


def test_counting_is_the_same_every_time_and_sees_full_logits(gate: Any) -> None:
    small = {"num_hidden_layers": 1, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2,
             "num_key_value_heads": 1, "head_dim": 32, "vocab_size": 50_000}  # fmt: skip
    lean, again = (gate.measure(gate.Case(4, 1024), **small) for _ in range(2))
    full = gate.measure(gate.Case(4, 1024, lean=False), **small)
    assert lean == again
    assert full.flops_per_token == pytest.approx(lean.flops_per_token, rel=1e-3)
    # Logits in bf16, a copy in float32, and their gradients: at least twice eight bytes for each beside ours.
    assert full.peak_bytes - lean.peak_bytes > 4 * 1024 * 50_000 * 8
