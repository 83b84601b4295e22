"""Compute attention for clips that are packed into one row without padding; no clip attends to another clip.

transformers would build a dense mask of the whole row, whose size grows with the square of the row's length.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION_NAME = "vtune_clips"
"""The name by which transformers knows this attention, in ``attn_implementation``."""


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    clip_lengths: Sequence[int] | None = None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """Compute causal attention within each clip if the lengths of the clips are given, else by transformers' ``sdpa``.

    :param query: ``[B, heads, T, D]``; with lengths B is 1. ``key`` and ``value`` may have fewer heads.
    :param clip_lengths: lengths of the clips in the row; their sum is T.
    :returns: ``[B, T, heads, D]``.
    """
    if clip_lengths is None:
        output: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **settings
        )
        return output
    varlen = _varlen_kernel() if _flash_is_supported(query) and not dropout else None
    if varlen is not None:
        return attend_with_kernel(varlen, query, key, value, clip_lengths, scaling), None
    return attend_clip_by_clip(query, key, value, clip_lengths, dropout, scaling), None


def attend_clip_by_clip(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: Sequence[int],
    dropout: float,
    scaling: float | None,
) -> torch.Tensor:
    """Compute attention clip by clip with torch's own function; shapes as for ``attend``."""
    queries, keys, values = (torch.split(tensor, list(lengths), dim=2) for tensor in (query, key, value))
    outputs = [
        nn.functional.scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=query.shape[1] != key.shape[1]
        )
        for q, k, v in zip(queries, keys, values, strict=True)
    ]
    return torch.cat(outputs, dim=2).transpose(1, 2)


def attend_with_kernel(
    varlen: Callable[..., torch.Tensor],
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: Sequence[int],
    scaling: float | None,
) -> torch.Tensor:
    """Compute attention of all clips in one kernel for variable lengths; shapes as for ``attend``."""
    ends = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=query.device)
    rows = [tensor[0].transpose(0, 1) for tensor in (query, key, value)]  # (T, heads, D)
    output = varlen(
        *rows, ends, ends, max(lengths), max(lengths), scale=scaling, window_size=(-1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )  # fmt: skip
    return output[None]


def _flash_is_supported(query: torch.Tensor) -> bool:
    """Tell whether flash attention supports the device and the dtype."""
    half = query.dtype in (torch.bfloat16, torch.float16)
    return query.is_cuda and half and torch.version.hip is None and torch.cuda.get_device_capability() >= (8, 0)


@cache
def _varlen_kernel() -> Callable[..., torch.Tensor] | None:
    """Return torch's kernel, or None where this version lacks the kernel or one of the arguments used here."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    is_complete = inspect.signature(varlen_attn).parameters.keys() >= {"scale", "window_size", "enable_gqa"}
    kernel: Callable[..., Any] = varlen_attn
    return kernel if is_complete else None


AttentionInterface.register(ATTENTION_NAME, attend)
AttentionMaskInterface.register(ATTENTION_NAME, sdpa_mask)
