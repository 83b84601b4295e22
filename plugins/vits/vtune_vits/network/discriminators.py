"""Tell recorded from made sound: the discriminators of HiFi-GAN (Kong et al., 2020), as VITS and Piper train them.

Six networks judge one segment: one reads the waveform as it is, five fold it into columns of 2, 3, 5, 7 and 11 samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

import vtune

PERIODS = (2, 3, 5, 7, 11)
_SLOPE = 0.1
_KINDS = ("weight", "bias")
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

    def load_folded(self, tensors: Mapping[str, torch.Tensor], source: str) -> None:
        """Load the weights of a base's discriminators, whose norms and directions are multiplied out.

        :param tensors: by names such as ``discriminators.0.convs.0.weight``.
        :param source: where the tensors are from, for the error.
        :raises vtune.EngineError: a tensor is missing, unexpected or of another shape; names the first one.
        """
        modules = {name: module for name, module in self.named_modules() if hasattr(module, "weight")}
        modules = {name: module for name, module in modules.items() if isinstance(module, nn.Conv1d | nn.Conv2d)}
        shapes = {f"{name}.{kind}": getattr(module, kind).shape for name, module in modules.items() for kind in _KINDS}
        given = {name: tensor.shape for name, tensor in tensors.items()}
        wrong = sorted(name for name in shapes.keys() | given.keys() if shapes.get(name) != given.get(name))
        if wrong:
            raise vtune.EngineError(
                f"{source}: {len(wrong)} tensors of its discriminators do not fit, such as {wrong[0]}, which is "
                f"{_shape(given.get(wrong[0]))} and should be {_shape(shapes.get(wrong[0]))}"
            )
        with torch.no_grad():
            for name, module in modules.items():
                module.weight = tensors[f"{name}.weight"].float()  # the parametrisation divides it again
                module.bias.copy_(tensors[f"{name}.bias"])

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
        folded = segments.reshape(len(segments), 1, -1, self.period)  # [B, 1, samples / period, period]
        return _layer_outputs(self.convs, self.conv_post, folded)


def _layer_outputs(layers: nn.ModuleList, last: nn.Module, hidden: torch.Tensor) -> list[torch.Tensor]:
    outputs = []
    for layer in layers:
        hidden = functional.leaky_relu(layer(hidden), _SLOPE)
        outputs.append(hidden)
    return [*outputs, last(hidden)]


def _shape(shape: torch.Size | None) -> str:
    return "absent" if shape is None else str(list(shape))
