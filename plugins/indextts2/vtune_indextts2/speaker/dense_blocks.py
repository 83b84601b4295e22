"""The body of CAM++: densely connected layers over time, each masked by its acoustic context.

Source: Wang et al., 2023, arXiv:2303.00332 (context-aware masking), after Huang et al., 2017, arXiv:1608.06993.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F


def normed(channels: int) -> nn.Sequential:
    """Batch norm, then ReLU, under the names of the released file."""
    return nn.Sequential(OrderedDict(batchnorm=nn.BatchNorm1d(channels), relu=nn.ReLU()))


class DenseBlock(nn.Sequential):
    """``[B, C, T]`` to ``[B, C + layers * growth, T]``: each layer appends its output to its input."""

    def __init__(
        self, layers: int, channels: int, bottleneck: int, growth: int, kernel: int, dilation: int, segment: int
    ) -> None:
        super().__init__()
        for index in range(layers):
            layer = DenseLayer(channels + index * growth, bottleneck, growth, kernel, dilation, segment)
            self.add_module(f"tdnnd{index + 1}", layer)


class DenseLayer(nn.Module):
    """Squeeze to the bottleneck frame by frame, then convolve and mask."""

    def __init__(self, channels: int, bottleneck: int, growth: int, kernel: int, dilation: int, segment: int) -> None:
        super().__init__()
        self.nonlinear1 = normed(channels)
        self.linear1 = nn.Conv1d(channels, bottleneck, 1, bias=False)
        self.nonlinear2 = normed(bottleneck)
        self.cam_layer = MaskedConvolution(bottleneck, growth, kernel, dilation, segment)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, C, T]`` to ``[B, C + growth, T]``."""
        y = self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))
        return torch.cat((x, y), dim=1)


class MaskedConvolution(nn.Module):
    """A dilated convolution times a mask from 0 to 1, which depends on the whole clip and the segment of a frame."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int, segment: int) -> None:
        super().__init__()
        self._segment = segment
        padding = (kernel - 1) // 2 * dilation
        self.linear_local = nn.Conv1d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(inputs, inputs // 2, 1)
        self.linear2 = nn.Conv1d(inputs // 2, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, C, T]`` to ``[B, O, T]``."""
        # The last segment may be shorter; it is divided by its own length.
        segments = F.avg_pool1d(x, self._segment, ceil_mode=True)
        mask = torch.sigmoid(self.linear2(F.relu(self.linear1(x.mean(dim=-1, keepdim=True) + segments))))
        masked: torch.Tensor = self.linear_local(x)
        return masked * mask.repeat_interleave(self._segment, dim=-1)[..., : x.shape[-1]]


class Transit(nn.Module):
    """Halve the channels, ``[B, C, T]`` to ``[B, C / 2, T]``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.nonlinear = normed(channels)
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, C, T]`` to ``[B, C / 2, T]``."""
        halved: torch.Tensor = self.linear(self.nonlinear(x))
        return halved
