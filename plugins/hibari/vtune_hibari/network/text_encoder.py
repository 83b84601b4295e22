"""Encode the symbols of sentences: convolutions, then one attention layer that is applied several times."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from vtune_hibari.network.blocks import ConvolutionBlock
from vtune_hibari.network.settings import HEADS, TextEncoderSettings


class SelfAttention(nn.Module):
    """Attention of all symbols of a sentence to each other, without positions; the convolutions know the order."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return ``[B x L x C]``.

        :param mask: bool ``[B x L]``, False at padding, which no symbol attends to.
        """
        batch, length, width = hidden.shape
        heads = self.in_proj(hidden).view(batch, length, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(heads[0], heads[1], heads[2], attn_mask=mask[:, None, None])
        result: torch.Tensor = self.out_proj(mixed.transpose(1, 2).reshape(batch, length, width))
        return result


class AttentionLayer(nn.Module):
    """A transformer's layer that normalises its inputs (pre-norm), with GELU."""

    def __init__(self, width: int, expanded: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(width)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, expanded)
        self.project = nn.Linear(expanded, width)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return ``[B x L x C]``; padding has values that mean nothing."""
        hidden = hidden + self.attention(self.norm1(hidden), mask)
        update: torch.Tensor = self.project(functional.gelu(self.expand(self.norm2(hidden))))
        return hidden + update


class TextEncoder(nn.Module):
    """One of the two text encoders: one for the sound, one for durations and prosody."""

    def __init__(self, symbols: int, settings: TextEncoderSettings) -> None:
        super().__init__()
        self.passes = settings.passes
        self.embed = nn.Embedding(symbols, settings.width)
        self.blocks = nn.ModuleList(
            ConvolutionBlock(settings.width, settings.expanded, settings.kernel, dilation)
            for dilation in settings.dilations
        )
        self.layer = AttentionLayer(settings.width, settings.expanded)
        self.norm = nn.LayerNorm(settings.width)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Encode symbols, ``[B x L x C]``, 0 at padding.

        :param ids: int64 ``[B x L]``.
        :param mask: bool ``[B x L]``, False at padding.
        """
        inside = mask[..., None].to(self.embed.weight.dtype)
        hidden = self.embed(ids) * inside
        for block in self.blocks:
            hidden = block(hidden, inside)
        for _ in range(self.passes):
            hidden = self.layer(hidden, mask)
        normalised: torch.Tensor = self.norm(hidden)
        return normalised * inside
