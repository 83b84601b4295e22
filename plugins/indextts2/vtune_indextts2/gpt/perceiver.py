"""A perceiver that draws a fixed number of latents from a sequence of any length (Jaegle et al. 2021)."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

HEAD_WIDTH = 64
"""Width of an attention head."""

LAYER_COUNT = 2


class Perceiver(nn.Module):
    """Context ``[B, T, context]`` to ``[B, latents, width]``."""

    def __init__(self, width: int, context: int, latents: int, heads: int, mult: int) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.zeros(latents, width))
        self.proj_context = nn.Linear(context, width) if context != width else nn.Identity()
        self.layers = nn.ModuleList(
            nn.ModuleList([CrossAttention(width, heads), feed_forward(width, mult)]) for _ in range(LAYER_COUNT)
        )
        self.norm = GammaNorm(width)

    def forward(self, context: torch.Tensor) -> torch.Tensor:
        """Draw the latents; they are among the keys themselves, so even an empty context gives some."""
        context = self.proj_context(context)
        x = self.latents.expand(len(context), -1, -1)
        for layer in self.layers:
            attention, transform = layer.children()
            x = attention(x, context) + x
            x = transform(x) + x
        normed: torch.Tensor = self.norm(x)
        return normed


class CrossAttention(nn.Module):
    """Latents ask themselves and the context; no biases, no norms."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, heads * HEAD_WIDTH, bias=False)
        self.to_kv = nn.Linear(width, 2 * heads * HEAD_WIDTH, bias=False)
        self.to_out = nn.Linear(heads * HEAD_WIDTH, width, bias=False)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Map latents ``[B, N, C]`` with context ``[B, T, C]`` to ``[B, N, C]``."""
        keys, values = self.to_kv(torch.cat([x, context], dim=1)).chunk(2, dim=-1)
        q, k, v = (
            y.reshape(*y.shape[:2], self.heads, HEAD_WIDTH).transpose(1, 2) for y in (self.to_q(x), keys, values)
        )
        out: torch.Tensor = self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out


class GatedGELU(nn.Module):
    """The first half times GELU of the second (Shazeer 2020)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[..., 2 n]`` to ``[..., n]``."""
        value, gate = x.chunk(2, dim=-1)
        return value * F.gelu(gate)


class GammaNorm(nn.Module):
    """RMS norm: ``x / |x| * sqrt(width) * gamma``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[..., width]`` to the same shape."""
        return F.normalize(x, dim=-1) * math.sqrt(x.shape[-1]) * self.gamma


def feed_forward(width: int, mult: int) -> nn.Sequential:
    """A gated feed-forward whose inner width is two thirds of ``mult`` times the outer."""
    inner = int(width * mult * 2 / 3)
    return nn.Sequential(nn.Linear(width, 2 * inner), GatedGELU(), nn.Linear(inner, width))
