"""The diffusion transformer's blocks, attending to all frames, with the time of the flow in every norm.

Sources: adaptive norm, Peebles and Xie, 2023 (arXiv:2212.09748); rotary positions, Su et al., 2021 (arXiv:2104.09864);
SwiGLU, Shazeer, 2020 (arXiv:2002.05202); skips from the first half to the second, Bao et al., 2023 (arXiv:2209.12152).
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import nn

NORM_EPSILON = 1e-5
ROTARY_BASE = 10_000.0
INNER_WIDTH_MULTIPLE = 256


@lru_cache(maxsize=4)
def rotary_table(frames: int, head_width: int, device: torch.device) -> torch.Tensor:
    """Return ``exp(i m theta)`` for each frame ``m`` and pair of channels, complex64 ``[T, 1, 1, head_width / 2]``."""
    exponents = torch.arange(0, head_width, 2, dtype=torch.float32, device=device) / head_width
    angles = torch.outer(torch.arange(frames, dtype=torch.float32, device=device), 1.0 / ROTARY_BASE**exponents)
    return torch.polar(torch.ones_like(angles), angles)[:, None, None]


def rotate(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Turn each pair of neighbouring channels, taken as a complex number, by the angle of its frame.

    :param x: ``[B, T, n, heads, head_width]``.
    """
    pairs = torch.view_as_complex(x.view(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * table).flatten(-2)


class AdaptiveNorm(nn.Module):
    """RMS norm whose scale and shift come from the time embedding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project_layer = nn.Linear(width, 2 * width)
        self.norm = nn.RMSNorm(width, eps=NORM_EPSILON)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Norm ``x [B, T, C]`` by ``time [B, C]``."""
        scale, shift = self.project_layer(time)[:, None].chunk(2, dim=-1)
        return torch.addcmul(shift, scale, self.norm(x))


class RotaryAttention(nn.Module):
    """Self-attention with rotary positions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.wqkv = nn.Linear(width, 3 * width, bias=False)
        self.wo = nn.Linear(width, width, bias=False)
        self._heads = heads

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Attend from every frame of ``x [B, T, C]`` to those that ``mask``, bool ``[B, T]``, has; None: to all."""
        qkv = self.wqkv(x).unflatten(-1, (3, self._heads, -1))  # (B, T, 3, heads, head_width)
        qk = rotate(qkv[:, :, :2], rotary_table(x.shape[1], qkv.shape[-1], x.device))
        q, k, v = (part.transpose(1, 2) for part in (*qk.unbind(2), qkv[:, :, 2]))
        keys = None if mask is None else mask[:, None, None]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=keys)
        mixed: torch.Tensor = self.wo(attended.transpose(1, 2).flatten(-2))
        return mixed


class SwiGLUFeedForward(nn.Module):
    """SwiGLU, ``8 / 3`` times as wide inside, rounded up to a multiple of 256."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = math.ceil(int(8 * width / 3) / INNER_WIDTH_MULTIPLE) * INNER_WIDTH_MULTIPLE
        self.w1 = nn.Linear(width, inner, bias=False)
        self.w3 = nn.Linear(width, inner, bias=False)
        self.w2 = nn.Linear(inner, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, T, C]`` to the same shape."""
        mapped: torch.Tensor = self.w2(F.silu(self.w1(x)) * self.w3(x))
        return mapped


class DiffusionBlock(nn.Module):
    """Attention and feed-forward, each normed before and added to what came in.

    :param takes_skip: whether the block merges an earlier block's output into its input.
    """

    def __init__(self, width: int, heads: int, takes_skip: bool) -> None:
        super().__init__()
        self.attention = RotaryAttention(width, heads)
        self.feed_forward = SwiGLUFeedForward(width)
        self.attention_norm = AdaptiveNorm(width)
        self.ffn_norm = AdaptiveNorm(width)
        self.skip_in_linear = nn.Linear(2 * width, width) if takes_skip else None

    def forward(
        self, x: torch.Tensor, time: torch.Tensor, mask: torch.Tensor | None, skips: list[torch.Tensor]
    ) -> torch.Tensor:
        """Map ``x [B, T, C]`` to the same shape; a block that takes a skip takes the last of ``skips`` away."""
        if self.skip_in_linear is not None:
            x = self.skip_in_linear(torch.cat([x, skips.pop()], dim=-1))
        x = x + self.attention(self.attention_norm(x, time), mask)
        x = x + self.feed_forward(self.ffn_norm(x, time))
        return x


class DiffusionTransformer(nn.Module):
    """Blocks before the middle give their output to those behind it, the last one first."""

    def __init__(self, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DiffusionBlock(width, heads, takes_skip=index > depth // 2) for index in range(depth)
        )
        self.norm = AdaptiveNorm(width)

    def forward(self, x: torch.Tensor, time: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Map ``x [B, T, C]`` to the same shape.

        :param time: ``[B, C]``.
        :param mask: bool ``[B, T]``, the frames that may be attended to; None: all.
        """
        skips: list[torch.Tensor] = []
        for index, block in enumerate(self.layers):
            x = block(x, time, mask, skips)
            if index < len(self.layers) // 2:
                skips.append(x)
        normed: torch.Tensor = self.norm(x, time)
        return normed
