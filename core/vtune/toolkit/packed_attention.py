"""Compute attention for clips that are packed into one row without padding; no clip attends to another clip.

transformers would build a dense mask of the whole row, whose size grows with the square of the row's length.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import accumulate
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION_NAME = "vtune_clips"
"""The name by which transformers knows this attention, in ``attn_implementation``."""

MAX_FLASH_HEAD_SIZE = 256
"""Largest size of a head that flash attention supports; the size must be a multiple of 8."""


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
    dtype = _product_dtype(query)
    varlen = _varlen_kernel() if _flash_is_supported(query, dtype) and not dropout else None
    if varlen is not None:
        # Autocast does not reach the kernel, and rotary positions in float32 have widened queries and keys.
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
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
    groups = query.shape[1] // key.shape[1]
    if groups > 1 and _needs_equal_heads(query):
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
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
    ends = _clip_ends(tuple(lengths), query.device)
    rows = [tensor[0].transpose(0, 1) for tensor in (query, key, value)]  # (T, heads, D)
    output = varlen(
        *rows, ends, ends, max(lengths), max(lengths), scale=scaling, window_size=(-1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )  # fmt: skip
    return output[None]


def _product_dtype(query: torch.Tensor) -> torch.dtype:
    """Return the dtype in which attention is computed: that of autocast, if it is on."""
    kind = query.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else query.dtype


def _flash_is_supported(query: torch.Tensor, dtype: torch.dtype) -> bool:
    """Tell whether flash attention supports the device, the dtype and the size of the heads."""
    return (
        query.is_cuda
        and dtype in (torch.bfloat16, torch.float16)
        and torch.version.hip is None
        and torch.cuda.get_device_capability(query.device) >= (8, 0)
        and query.shape[-1] % 8 == 0
        and query.shape[-1] <= MAX_FLASH_HEAD_SIZE
    )


def _needs_equal_heads(query: torch.Tensor) -> bool:
    """Tell whether keys must have as many heads as queries.

    Of torch's kernels for GPUs, only flash attention shares heads. Without it, in float32 or on a GPU before Ampere,
    torch would compute shared heads by whole matrices of scores, whose size grows with the square of a clip's length.
    """
    return query.is_cuda and not _flash_is_supported(query, _product_dtype(query))


@lru_cache(maxsize=4)
def _clip_ends(lengths: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Return where clips begin and end, int32 ``[clips + 1]``.

    All layers of a pass share the result: to copy it to a GPU again would let the CPU wait for the GPU in each layer.
    """
    with torch.inference_mode(False):  # it must be usable in a training, whoever asked first
        return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)


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
