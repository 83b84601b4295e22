"""A small network that hears which symbol is spoken in each step of 25 ms."""

from __future__ import annotations

import torch
from torch import nn

from vtune_hibari.alignment.spectra import MEL_BANDS
from vtune_hibari.network.blocks import ConvolutionBlock, convolve
from vtune_hibari.network.settings import STEP_FRAMES

WIDTH, EXPANDED, KERNEL = 192, 384, 7
FRAME_BLOCKS, STEP_BLOCKS = 2, 3
_NEW_BLOCK_SCALE = 0.3


class SymbolClassifier(nn.Module):
    """Convolutions over frames (80 a second), then over steps (40 a second); one million weights.

    A step hears 0.6 s before and after it, so that it knows the neighbours of its symbol.
    """

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv1d(MEL_BANDS, WIDTH, 5, padding=2)
        self.frame_blocks = nn.ModuleList(ConvolutionBlock(WIDTH, EXPANDED, KERNEL, 1) for _ in range(FRAME_BLOCKS))
        self.halve = nn.Conv1d(WIDTH, WIDTH, 2 * STEP_FRAMES, stride=STEP_FRAMES, padding=STEP_FRAMES // 2)
        self.step_blocks = nn.ModuleList(ConvolutionBlock(WIDTH, EXPANDED, KERNEL, 1) for _ in range(STEP_BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, symbols)
        for block in (*self.frame_blocks, *self.step_blocks):
            nn.init.constant_(block.get_parameter("scale"), _NEW_BLOCK_SCALE)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """Return scores of symbols (logits), ``[B x T x symbols]``.

        :param mels: ``[B x 64 x 2 T]`` of `vtune_hibari.alignment.spectra.normalise`.
        """
        inside = torch.ones(1, 1, 1, device=mels.device)
        hidden = convolve(self.conv_in, mels.transpose(1, 2))
        for block in self.frame_blocks:
            hidden = block(hidden, inside)
        hidden = convolve(self.halve, hidden)
        for block in self.step_blocks:
            hidden = block(hidden, inside)
        scores: torch.Tensor = self.head(self.norm(hidden))
        return scores
