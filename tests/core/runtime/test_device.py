from __future__ import annotations

from typing import Any

import pytest
import torch

from vtune.errors import TrainingError
from vtune.runtime.device import pick_precision, weights_dtype

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("able", "precision"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx512_f": True, "avx512_bf16": False}, "fp32")],
)
def test_a_cpu_trains_in_bf16_where_it_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, Any], precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert pick_precision("auto", CPU) == precision
    assert weights_dtype("auto", CPU, "lora") == torch.float32


def test_an_older_torch_knows_nothing_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert pick_precision("auto", CPU) == "fp32"


def test_what_was_asked_for_is_done() -> None:
    assert pick_precision("fp32", CPU) == "fp32"
    assert weights_dtype("bf16", CPU, "lora") == torch.bfloat16
    assert weights_dtype("bf16", CPU, "full") == torch.float32
    with pytest.raises(TrainingError, match="use 'fp32' or 'bf16'"):
        pick_precision("fp16", CPU)


@pytest.mark.parametrize(("major", "precision"), [(7, "fp16"), (8, "bf16"), (9, "bf16")])
def test_a_gpu_that_only_emulates_bf16_trains_in_fp16(
    monkeypatch: pytest.MonkeyPatch, major: int, precision: str
) -> None:
    """A T4 (compute capability 7.5) creates bf16 tensors, and torch says that it supports bf16."""
    properties = type("Properties", (), {"major": major})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda device: True)
    assert torch.cuda.is_bf16_supported()
    assert pick_precision("auto", torch.device("cuda", 0)) == precision
    assert weights_dtype("auto", torch.device("cuda", 0), "lora") == getattr(
        torch, {"fp16": "float16", "bf16": "bfloat16"}[precision]
    )
