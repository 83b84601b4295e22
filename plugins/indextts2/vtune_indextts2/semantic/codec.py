"""Quantise w2v-BERT features ``[B, T, H]`` to semantic codes, int64 ``[B, T]`` below 8192, and embed the codes.

A convolutional encoder, a projection to 8 numbers, and the nearest code by angle. Source: MaskGCT (Wang et al., 2024,
arXiv:2409.00750); its backbone is that of Vocos (Siuzdak, 2023, arXiv:2306.00814).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

UNUSED_ENTRIES = ("decoder.*",)
"""Entries of the released file that vtune does not use: the decoder from codes to w2v-BERT's features."""

EPSILON = 1e-6


class ConvNeXtBlock(nn.Module):
    """A depthwise convolution over time, then two layers for each frame; ``[B, C, T]`` to the same shape."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=EPSILON)
        self.pwconv1 = nn.Linear(channels, inner)
        self.pwconv2 = nn.Linear(inner, channels)
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``x`` plus the output of the block, ``[B, C, T]``."""
        y: torch.Tensor = self.norm(self.dwconv(x).transpose(1, 2))
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))
        return x + y.transpose(1, 2)


class Backbone(nn.Module):
    """Vocos's backbone, ``[B, T, H]`` to ``[B, T, C]``."""

    def __init__(self, hidden: int, channels: int, inner: int, blocks: int) -> None:
        super().__init__()
        self.embed = nn.Conv1d(hidden, channels, 7, padding=3)
        self.norm = nn.LayerNorm(channels, eps=EPSILON)
        self.convnext = nn.ModuleList([ConvNeXtBlock(channels, inner) for _ in range(blocks)])
        self.final_layer_norm = nn.LayerNorm(channels, eps=EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, T, H]`` to ``[B, T, C]``."""
        y = self.norm(self.embed(x.transpose(1, 2)).transpose(1, 2)).transpose(1, 2)
        for block in self.convnext:
            y = block(y)
        normed: torch.Tensor = self.final_layer_norm(y.transpose(1, 2))
        return normed


class VectorQuantizer(nn.Module):
    """A codebook of few dimensions between two projections (Yu et al., 2021, arXiv:2110.04627)."""

    def __init__(self, codebook_size: int, hidden: int, codebook_dim: int) -> None:
        super().__init__()
        self.in_project = nn.Conv1d(hidden, codebook_dim, 1)
        self.out_project = nn.Conv1d(codebook_dim, hidden, 1)
        self.codebook = nn.Embedding(codebook_size, codebook_dim)

    def nearest(self, x: torch.Tensor) -> torch.Tensor:
        """Find the codes ``[B, T]`` at the smallest angle to the projections of ``[B, T, H]``."""
        directions = F.normalize(self.in_project(x.transpose(1, 2)).transpose(1, 2), dim=-1)
        return (directions @ F.normalize(self.codebook.weight, dim=-1).T).argmax(dim=-1)

    def lookup(self, codes: torch.Tensor) -> torch.Tensor:
        """Project code vectors, at their own length, to ``[B, T, H]``."""
        projected: torch.Tensor = self.out_project(self.codebook(codes).transpose(1, 2))
        return projected.transpose(1, 2)


class Quantizers(nn.Module):
    """The file's list of quantizers, which holds one."""

    def __init__(self, quantizer: VectorQuantizer) -> None:
        super().__init__()
        self.quantizers = nn.ModuleList([quantizer])

    @property
    def only(self) -> VectorQuantizer:
        """The quantizer."""
        quantizer = self.quantizers[0]
        assert isinstance(quantizer, VectorQuantizer)
        return quantizer


class SemanticCodec(nn.Module):
    """Encodes features to codes and embeddings. Clips of a batch have one length: 39 frames on each side, also padding,
    influence a frame.
    """

    def __init__(
        self,
        codebook_size: int = 8192,
        hidden_size: int = 1024,
        codebook_dim: int = 8,
        vocos_dim: int = 384,
        vocos_intermediate_dim: int = 2048,
        vocos_num_layers: int = 12,
    ) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            Backbone(hidden_size, vocos_dim, vocos_intermediate_dim, vocos_num_layers),
            nn.Linear(vocos_dim, hidden_size),
        )
        self.quantizer = Quantizers(VectorQuantizer(codebook_size, hidden_size, codebook_dim))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Encode normalised features ``[B, T, H]`` to vectors ``[B, T, H]``, which ``quantize`` turns into codes."""
        encoded: torch.Tensor = self.encoder(x)
        return encoded

    def quantize(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn normalised features ``[B, T, H]`` into codes, int64 ``[B, T]``, and embeddings ``[B, T, H]``."""
        codes = self.quantizer.only.nearest(self.encode(x))
        return codes, self.lookup(codes)

    def lookup(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the embeddings ``[B, T, H]`` of codes, int64 ``[B, T]``: the same that ``quantize`` gave with them."""
        return self.quantizer.only.lookup(codes)
