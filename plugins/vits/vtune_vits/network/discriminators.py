"""Tell recorded from made sound: the discriminators of HiFi-GAN (Kong et al., 2020), as VITS and Piper train them.

Six networks judge one segment: one reads the waveform as it is, five fold it into columns of 2, 3, 5, 7 and 11 samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

PERIODS = (2, 3, 5, 7, 11)
_SLOPE = 0.1
_PERIOD_CHANNELS = (32, 128, 512, 1024, 1024)
_SCALE_LAYERS = (
    (16, 15, 1, 1),
    (64, 41, 4, 4),
    (256, 41, 4, 16),
    (1024, 41, 4, 64),
    (1024, 41, 4, 256),
    (1024, 5, 1, 1),
)
"""Channels, kernel, stride and groups of each layer."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the discriminators say about a batch of segments.

    :param scores: of each discriminator, ``[B, positions]``: near 1 for recorded sound, near 0 for made sound.
    :param features: the outputs of each layer of each discriminator, ``[B, ...]``.
    """

    scores: tuple[torch.Tensor, ...]
    features: tuple[tuple[torch.Tensor, ...], ...]


class Discriminators(nn.Module):
    """Judges segments of sound, ``[B, samples]``.

    The names of the tensors are those of Piper's checkpoints, ``discriminators.0.convs.0.weight`` with the norm and the
    direction of each weight as parametrisations.

    :param narrowing: divides the channels of all layers; 1 for the published size of 47 million numbers. Half the
        channels take a quarter of the time.
    """

    def __init__(self, narrowing: int = 1) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(
            [ScaleDiscriminator(narrowing), *(PeriodDiscriminator(period, narrowing) for period in PERIODS)]
        )

    def forward(self, segments: torch.Tensor) -> Judgement:
        """Judge segments ``[B, samples]``."""
        features = tuple(tuple(judge(segments[:, None])) for judge in self.discriminators)
        return Judgement(tuple(layers[-1].flatten(1) for layers in features), features)


class ScaleDiscriminator(nn.Module):
    """Judges a waveform as it is."""

    def __init__(self, narrowing: int) -> None:
        super().__init__()
        layers, before = [], 1
        for channels, kernel, stride, groups in _SCALE_LAYERS:
            channels = max(1, channels // narrowing)
            groups = max(1, groups // narrowing) if groups > 1 else 1
            layers.append(weight_norm(nn.Conv1d(before, channels, kernel, stride, kernel // 2, groups=groups)))
            before = channels
        self.convs = nn.ModuleList(layers)
        self.conv_post = weight_norm(nn.Conv1d(before, 1, 3, padding=1))

    def forward(self, segments: torch.Tensor) -> list[torch.Tensor]:
        """Return the output of each layer for segments ``[B, 1, samples]``; the last output has the scores."""
        return _layer_outputs(self.convs, self.conv_post, segments)


class PeriodDiscriminator(nn.Module):
    """Judges a waveform that is folded so that samples of one phase of a period lie in one column.

    :param period: samples.
    """

    def __init__(self, period: int, narrowing: int) -> None:
        super().__init__()
        self.period = period
        layers, before = [], 1
        for index, channels in enumerate(_PERIOD_CHANNELS):
            channels = max(1, channels // narrowing)
            stride = 3 if index < len(_PERIOD_CHANNELS) - 1 else 1
            layers.append(weight_norm(nn.Conv2d(before, channels, (5, 1), (stride, 1), (2, 0))))
            before = channels
        self.convs = nn.ModuleList(layers)
        self.conv_post = weight_norm(nn.Conv2d(before, 1, (3, 1), padding=(1, 0)))

    def forward(self, segments: torch.Tensor) -> list[torch.Tensor]:
        """Return the output of each layer for segments ``[B, 1, samples]``; the last output has the scores."""
        missing = -segments.shape[-1] % self.period
        if missing:
            segments = functional.pad(segments, (0, missing), "reflect")
        folded = segments.unflatten(-1, (-1, self.period))  # [B, 1, samples / period, period]
        return _layer_outputs(self.convs, self.conv_post, folded)


def _layer_outputs(layers: nn.ModuleList, last: nn.Module, hidden: torch.Tensor) -> list[torch.Tensor]:
    outputs = []
    for layer in layers:
        hidden = functional.leaky_relu(layer(hidden), _SLOPE)
        outputs.append(hidden)
    return [*outputs, last(hidden)]
