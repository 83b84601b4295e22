"""Tell recorded from made sound by spectrograms at several resolutions, an idea of UnivNet (Jang et al., 2021).

They learn in fewer steps than discriminators of waveforms what a spectrogram shows at once: a buzz, a whistle, noise in
place of harmonics. They read logarithms of magnitudes, so that quiet parts and high frequencies count too.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from vtune_vits.network.discriminators import Judgement
from vtune_vits.network.spectrogram import stft_magnitudes

FFT_SIZES = (2048, 1024, 512)
"""Samples of the windows."""

CHANNELS = 16
"""Half the published number, which takes a quarter of the time."""

_FREQUENCY_STRIDES = (1, 2, 2, 2)
_LOG_MEAN, _LOG_STD = -1.0, 3.0
"""Bring the logarithms of speech with an RMS of 0.2 near a mean of 0 and a deviation of 1."""

_SLOPE = 0.1


class SpectrogramDiscriminators(nn.Module):
    """Judges segments of sound, ``[B, samples]`` of at least 2,048 samples and an RMS of about 0.2."""

    def __init__(self) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(SpectrogramDiscriminator(size) for size in FFT_SIZES)

    def forward(self, segments: torch.Tensor) -> Judgement:
        """Judge segments ``[B, samples]``."""
        features = tuple(tuple(judge(segments)) for judge in self.discriminators)
        return Judgement(tuple(layers[-1].flatten(1) for layers in features), features)


class SpectrogramDiscriminator(nn.Module):
    """Judges spectrograms of one resolution.

    :param fft_size: samples of the window.
    """

    def __init__(self, fft_size: int) -> None:
        super().__init__()
        self.fft_size = fft_size
        layers = []
        for index, stride in enumerate(_FREQUENCY_STRIDES):
            layers.append(weight_norm(nn.Conv2d(CHANNELS if index else 1, CHANNELS, (9, 3), (stride, 1), (4, 1))))
        layers.append(weight_norm(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)))
        self.convs = nn.ModuleList(layers)
        self.conv_post = weight_norm(nn.Conv2d(CHANNELS, 1, 3, padding=1))

    def forward(self, segments: torch.Tensor) -> list[torch.Tensor]:
        """Return the output of each layer for segments ``[B, samples]``; the last output has the scores."""
        with torch.autocast(segments.device.type, enabled=False):
            magnitudes = stft_magnitudes(segments, self.fft_size)  # [B, bins, frames]
            hidden = ((magnitudes.log() - _LOG_MEAN) / _LOG_STD)[:, None]
        outputs = []
        for layer in self.convs:
            hidden = functional.leaky_relu(layer(hidden), _SLOPE)
            outputs.append(hidden)
        return [*outputs, self.conv_post(hidden)]
