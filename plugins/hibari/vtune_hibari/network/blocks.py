"""The residual block of which text encoders, prosody predictor and decoder consist."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class ConvolutionBlock(nn.Module):
    """A depthwise convolution over time, then a layer norm and two linear layers over channels, added to the input.

    A ConvNeXt block (arXiv 2201.03545) in one dimension: ``x + scale * project(gelu(expand(norm(depthwise(x)))))``.
    """

    def __init__(self, width: int, expanded: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(
            width, width, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=width
        )
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, expanded)
        self.project = nn.Linear(expanded, width)
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the output, ``[B x T x C]``, 0 at padding.

        :param hidden: ``[B x T x C]``, 0 at padding, as a convolution that is not padded meets zeros at its end.
        :param mask: 1 inside each row and 0 at padding, ``[B x T x 1]``.
        """
        mixed = convolve(self.depthwise, hidden)
        update: torch.Tensor = self.project(functional.gelu(self.expand(self.norm(mixed))))
        return hidden + self.scale * update * mask


def convolve(convolution: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
    """Apply a convolution over time to ``[B x T x C]``; return ``[B x T x C']``."""
    result: torch.Tensor = convolution(hidden.transpose(1, 2)).transpose(1, 2)
    return result
