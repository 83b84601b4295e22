"""The conformer that reads semantic features for conditioning (Gulati et al. 2020, as in WeNet).

One clip at a time: padding would leak through the convolutions, so there is no mask.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from vtune_indextts2.gpt.settings import EncoderSettings

DEPTHWISE_KERNEL = 15
"""Frames that the depthwise convolution of a block sees."""


class Conformer(nn.Module):
    """Semantic features ``[1 x T x feature_dim]`` at 50 Hz to ``[1 x (T - 1) // 2 x output_size]``."""

    def __init__(self, settings: EncoderSettings, feature_dim: int) -> None:
        super().__init__()
        self.embed = Subsampling(feature_dim, settings.output_size)
        self.encoders = nn.ModuleList(ConformerBlock(settings) for _ in range(settings.num_blocks))
        self.after_norm = nn.LayerNorm(settings.output_size)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Encode 3 frames or more."""
        x = self.embed(features)
        positions = sinusoids(x.shape[1], x.shape[2]).to(x)
        for block in self.encoders:
            x = block(x, positions)
        encoded: torch.Tensor = self.after_norm(x)
        return encoded


class Subsampling(nn.Module):
    """Halve the frame rate with one 3x3 convolution over time and channels, and project."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, outputs, 3, stride=2), nn.ReLU())
        self.out = nn.Sequential(nn.Linear(outputs * ((inputs - 1) // 2), outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B x T x I]`` to ``[B x (T - 1) // 2 x O]``."""
        planes = self.conv(x[:, None])  # (B, O, T', I')
        projected: torch.Tensor = self.out(planes.transpose(1, 2).flatten(2))
        return projected * math.sqrt(projected.shape[-1])


class ConformerBlock(nn.Module):
    """Attention, convolution and feed-forward, each behind a norm and beside a residual."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        size = settings.output_size
        self.self_attn = PositionalKeyAttention(size, settings.attention_heads)
        self.conv_module = ConformerConvolution(size)
        self.feed_forward = ConformerFeedForward(size, settings.linear_units)
        self.norm_mha = nn.LayerNorm(size)
        self.norm_conv = nn.LayerNorm(size)
        self.norm_ff = nn.LayerNorm(size)
        self.norm_final = nn.LayerNorm(size)

    def forward(self, x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Map ``[B x T x C]`` to the same shape."""
        x = x + self.self_attn(self.norm_mha(x), positions)
        x = x + self.conv_module(self.norm_conv(x))
        x = x + self.feed_forward(self.norm_ff(x))
        normed: torch.Tensor = self.norm_final(x)
        return normed


class PositionalKeyAttention(nn.Module):
    """Attention with positions on the keys (Dai et al. 2019, without the relative shift).

    The score ``(q + u) k + (q + v) p`` is ``q (k + p)`` plus a bias that each key has for all queries, which is how
    it goes through the fused kernels.
    """

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q = nn.Linear(size, size)
        self.linear_k = nn.Linear(size, size)
        self.linear_v = nn.Linear(size, size)
        self.linear_out = nn.Linear(size, size)
        self.linear_pos = nn.Linear(size, size, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, size // heads))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, size // heads))

    def forward(self, x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Map ``[B x T x C]``, with positions ``[T x C]``, to ``[B x T x C]``."""
        q, k, v = (self._split(linear(x)) for linear in (self.linear_q, self.linear_k, self.linear_v))
        p = self._split(self.linear_pos(positions)[None])  # (1, H, T, D)
        bias = torch.einsum("hd,bhtd->bht", self.pos_bias_u, k) + torch.einsum("hd,bhtd->bht", self.pos_bias_v, p)
        scaled = bias[:, :, None] / math.sqrt(q.shape[-1])  # (B, H, 1, T)
        mixed = F.scaled_dot_product_attention(q, k + p, v, attn_mask=scaled.expand(-1, -1, q.shape[2], -1))
        out: torch.Tensor = self.linear_out(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class ConformerConvolution(nn.Module):
    """Pointwise to twice the width, gated, depthwise, norm, SiLU, pointwise."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.pointwise_conv1 = nn.Conv1d(size, 2 * size, 1)
        self.depthwise_conv = nn.Conv1d(size, size, DEPTHWISE_KERNEL, padding=DEPTHWISE_KERNEL // 2, groups=size)
        self.norm = nn.LayerNorm(size)
        self.pointwise_conv2 = nn.Conv1d(size, size, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B x T x C]`` to the same shape."""
        gated = F.glu(self.pointwise_conv1(x.transpose(1, 2)), dim=1)
        normed = self.norm(self.depthwise_conv(gated).transpose(1, 2))
        out: torch.Tensor = self.pointwise_conv2(F.silu(normed).transpose(1, 2))
        return out.transpose(1, 2)


class ConformerFeedForward(nn.Module):
    """Two linear maps around SiLU."""

    def __init__(self, size: int, inner: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(size, inner)
        self.w_2 = nn.Linear(inner, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B x T x C]`` to the same shape."""
        out: torch.Tensor = self.w_2(F.silu(self.w_1(x)))
        return out


def sinusoids(length: int, size: int) -> torch.Tensor:
    """Positions ``[length x size]``: sine on even channels, cosine on odd ones (Vaswani et al. 2017)."""
    rates = torch.exp(torch.arange(0, size, 2) * -(math.log(10_000.0) / size))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
