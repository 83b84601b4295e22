"""Packed attention as a GPU computes it, tried without a GPU: the kernel is one of the tests' own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from vtune.toolkit import packed_attention

LENGTHS = (5, 1, 9)


def heads(queries: int = 4, keys: int = 2) -> list[torch.Tensor]:
    """Return queries, keys and values of 15 positions with heads of 8."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, count, sum(LENGTHS), 8, generator=generator) for count in (queries, keys, keys)]


def attend(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Compute attention as a network does."""
    return packed_attention.attend(nn.Module(), *tensors, None, clip_lengths=LENGTHS)[0]


def test_the_kernel_gets_the_numbers_of_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Float32 weights under autocast give float32 queries, which only the plain way would take."""
    dtypes: list[torch.dtype] = []

    def kernel(*given: Any, **_: Any) -> torch.Tensor:
        dtypes.extend(tensor.dtype for tensor in given[:3])
        return given[0]

    monkeypatch.setattr(packed_attention, "_varlen_kernel", lambda: kernel)
    supported = lambda _, dtype: dtype in (torch.bfloat16, torch.float16)  # noqa: E731
    monkeypatch.setattr(packed_attention, "_flash_is_supported", supported)
    plain = attend(heads())
    assert dtypes == []
    with torch.autocast("cpu", torch.bfloat16):
        assert attend(heads()).dtype == torch.bfloat16
    assert dtypes == [torch.bfloat16] * 3
    assert plain.dtype == torch.float32


def test_keys_are_repeated_where_no_kernel_shares_them(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = attend(heads())
    asked: list[bool] = []
    attention = nn.functional.scaled_dot_product_attention

    def noted(*given: torch.Tensor, **settings: Any) -> torch.Tensor:
        asked.append(settings["enable_gqa"])
        assert given[0].shape == given[1].shape == given[2].shape
        return attention(*given, **settings)

    monkeypatch.setattr(packed_attention, "_needs_equal_heads", lambda _: True)
    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", noted)
    torch.testing.assert_close(attend(heads()), expected)
    assert asked == [False] * len(LENGTHS)


@pytest.mark.parametrize(
    ("size", "capability", "dtype", "supported"),
    [
        (128, (9, 0), torch.bfloat16, True),
        (128, (8, 0), torch.float16, True),
        (128, (7, 5), torch.float16, False),
        (128, (9, 0), torch.float32, False),
        (12, (9, 0), torch.bfloat16, False),
        (264, (9, 0), torch.bfloat16, False),
    ],
)
def test_flash_attention_is_for_some_gpus_and_heads(
    size: int, capability: tuple[int, int], dtype: torch.dtype, supported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Query:
        is_cuda, device, shape = True, torch.device("cuda", 1), torch.Size([1, 4, 15, size])

    def capability_of(device: torch.device) -> tuple[int, int]:
        assert device == Query.device  # not that of another GPU
        return capability

    monkeypatch.setattr(torch.cuda, "get_device_capability", capability_of)
    query: Any = Query()
    assert packed_attention._flash_is_supported(query, dtype) is supported


def test_the_ends_of_clips_are_copied_once_for_all_layers() -> None:
    with torch.inference_mode():
        first = packed_attention._clip_ends(LENGTHS, torch.device("cpu"))
    assert packed_attention._clip_ends(LENGTHS, torch.device("cpu")) is first
    assert first.tolist() == [0, 5, 6, 15]
    assert not first.is_inference()  # backward could not keep it
