"""The input head of CAM++: a small 2-D residual network over frequency and time.

Source: He et al., 2016, arXiv:1512.03385; as the front of CAM++, Wang et al., 2023, arXiv:2303.00332.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

HEAD_CHANNELS = 32


class Head(nn.Module):
    """``[B, bins, T]`` to ``[B, channels, T]``: frequency is halved three times and moved into the channels."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, HEAD_CHANNELS, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(HEAD_CHANNELS)
        self.layer1 = nn.Sequential(HeadResidualBlock(halved=True), HeadResidualBlock(halved=False))
        self.layer2 = nn.Sequential(HeadResidualBlock(halved=True), HeadResidualBlock(halved=False))
        self.conv2 = nn.Conv2d(HEAD_CHANNELS, HEAD_CHANNELS, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(HEAD_CHANNELS)
        self.out_channels = HEAD_CHANNELS * -(-bins // 8)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[B, bins, T]`` to ``[B, channels, T]``."""
        picture = F.relu(self.bn1(self.conv1(features[:, None])))
        picture = self.layer2(self.layer1(picture))
        return F.relu(self.bn2(self.conv2(picture))).flatten(1, 2)


class HeadResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, ``[B, 32, bins, T]``; with ``halved``, every second bin remains."""

    def __init__(self, halved: bool) -> None:
        super().__init__()
        stride = (2, 1) if halved else (1, 1)
        self.conv1 = nn.Conv2d(HEAD_CHANNELS, HEAD_CHANNELS, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(HEAD_CHANNELS)
        self.conv2 = nn.Conv2d(HEAD_CHANNELS, HEAD_CHANNELS, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(HEAD_CHANNELS)
        self.shortcut = nn.Sequential()
        if halved:
            self.shortcut.append(nn.Conv2d(HEAD_CHANNELS, HEAD_CHANNELS, 1, stride=stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(HEAD_CHANNELS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map to the same shape, or to half the bins."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))
