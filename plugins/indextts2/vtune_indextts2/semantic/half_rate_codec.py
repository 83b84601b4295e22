"""The codec of IndexTTS-2.5: 25 codes a second, and a decoder from codes back to features at 50 Hz."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from vtune_indextts2.semantic.codec import Backbone, SemanticCodec

STRIDE = 2
"""Frames of features for one code."""


class HalfRateCodec(SemanticCodec):
    """``SemanticCodec`` behind a convolution that halves the rate; synthesis needs its decoder, not its encoder."""

    def __init__(
        self, codebook_size: int = 8192, hidden_size: int = 1024, codebook_dim: int = 8, vocos_dim: int = 384,
        vocos_intermediate_dim: int = 2048, vocos_num_layers: int = 12,
    ) -> None:  # fmt: skip
        sizes = (codebook_size, hidden_size, codebook_dim, vocos_dim, vocos_intermediate_dim, vocos_num_layers)
        super().__init__(*sizes)
        self.down = nn.Conv1d(hidden_size, hidden_size, 3, stride=STRIDE, padding=1)
        self.up = nn.Conv1d(hidden_size, hidden_size, 3, padding=1)
        self.decoder = nn.Sequential(
            Backbone(hidden_size, vocos_dim, vocos_intermediate_dim, vocos_num_layers),
            nn.Linear(vocos_dim, hidden_size),
        )

    def halve(self, x: torch.Tensor) -> torch.Tensor:
        """Halve the rate of features: ``[B, T, H]`` to ``[B, ceil(T / 2), H]``."""
        return F.gelu(self.down(x.transpose(1, 2)).transpose(1, 2))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Encode normalised features ``[B, T, H]`` to vectors ``[B, ceil(T / 2), H]``, which become codes."""
        return super().encode(self.halve(x))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Turn codes, int64 ``[B, N]``, into features at 50 Hz, ``[B, 2 N, H]``."""
        decoded = self.decoder(self.lookup(codes)).repeat_interleave(STRIDE, dim=1)
        raised: torch.Tensor = self.up(decoded.transpose(1, 2)).transpose(1, 2)
        return raised
