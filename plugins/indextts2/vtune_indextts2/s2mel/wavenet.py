"""WaveNet block: gated dilated convolutions with summed skips (van den Oord et al., 2016, arXiv:1609.03499)."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn


class WaveNet(nn.Module):
    """Not causal, reflected at both ends; the time of the flow is added before each gate.

    ``reach`` is how many frames to either side a frame depends on.
    """

    def __init__(self, channels: int, kernel_size: int, dilation_rate: int, layers: int) -> None:
        super().__init__()
        self.reach = sum(dilation_rate**layer * (kernel_size - 1) // 2 for layer in range(layers))
        self.cond_layer = _convolution(channels, 2 * channels * layers, 1)
        self.in_layers = nn.ModuleList(
            _convolution(channels, 2 * channels, kernel_size, dilation_rate**layer) for layer in range(layers)
        )
        # The last layer has no successor, so it has the summed part only.
        self.res_skip_layers = nn.ModuleList(
            _convolution(channels, 2 * channels if layer < layers - 1 else channels, 1) for layer in range(layers)
        )

    def forward(self, x: torch.Tensor, time: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Map ``x [B, C, T]`` to the same shape.

        :param time: ``[B, C]``.
        :param mask: bool ``[B, T]``, the frames that are there; None: all.
        """
        channels = x.shape[1]
        total = torch.zeros_like(x)
        conditions = self.cond_layer(time[..., None]).chunk(len(self.in_layers), dim=1)
        for convolution, res_skip, condition in zip(self.in_layers, self.res_skip_layers, conditions, strict=True):
            filtered, gate = (convolution(x) + condition).chunk(2, dim=1)
            residual, summed = res_skip(filtered.tanh() * gate.sigmoid()).tensor_split([-channels], dim=1)
            total += summed
            if residual.shape[1]:
                x = _masked(x + residual, mask)
        return _masked(total, mask)


def _masked(x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    return x if mask is None else x * mask[:, None]


def _convolution(channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> nn.Module:
    convolution = nn.Conv1d(
        channels, out_channels, kernel_size, dilation=dilation, padding="same", padding_mode="reflect"
    )
    # The checkpoint has it under two wrappers.
    return nn.Sequential(OrderedDict(conv=nn.Sequential(OrderedDict(conv=convolution))))
