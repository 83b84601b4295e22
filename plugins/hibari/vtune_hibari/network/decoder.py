"""The decoder: from encoded symbols, pitch and energy to the parts of a spectrum."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from vtune_hibari.network.blocks import ConvolutionBlock, convolve
from vtune_hibari.network.prosody import ENERGY_UNIT
from vtune_hibari.network.settings import BINS, SPECTRAL_PARTS, BlockStackSettings
from vtune_hibari.network.speaker import Speaker

LOG_F0_UNIT = 5.0
"""The decoder reads ``log(1 + F0 in Hz)`` divided by this."""


class SpectralParts(NamedTuple):
    """What the decoder says about each band of each frame, each ``[B x F x 601]``; see `vtune_hibari.network.sound`."""

    harmonic_level: torch.Tensor
    """Logarithm of the gain of the pulse train."""

    harmonic_phase: torch.Tensor
    """Phase that is added to the pulse train's: pi times the hyperbolic tangent of this."""

    noise_level: torch.Tensor
    """Logarithm of the level of the noise."""

    residual_level: torch.Tensor
    """Logarithm of the level of what is neither pulse train nor noise."""

    residual_phase: torch.Tensor
    """Phase of the residual in radians."""


class Decoder(nn.Module):
    """Convolution blocks over frames (80 a second)."""

    def __init__(self, encoder_width: int, settings: BlockStackSettings, input_kernel: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv1d(encoder_width + 2, settings.width, input_kernel, padding=input_kernel // 2)
        self.blocks = nn.ModuleList(
            ConvolutionBlock(settings.width, settings.expanded, settings.kernel, dilation)
            for dilation in settings.dilations
        )
        self.norm = nn.LayerNorm(settings.width)
        self.head = nn.Linear(settings.width, SPECTRAL_PARTS * BINS)
        self.speaker = Speaker()

    def forward(
        self, expanded: torch.Tensor, f0: torch.Tensor, energy: torch.Tensor, mask: torch.Tensor
    ) -> SpectralParts:
        """Return the parts of the spectrum; padding has values that mean nothing.

        :param expanded: of the acoustic encoder, one column for each frame, ``[B x F x C]``, 0 at padding.
        :param f0: Hz, ``[B x F]``; values below 0 count as 0.
        :param energy: ``[B x F]``.
        :param mask: bool ``[B x F]``, False at padding.
        """
        inside = mask[..., None].to(expanded.dtype)
        pitch = torch.log1p(f0.relu()) / LOG_F0_UNIT
        inputs = torch.cat((expanded, pitch[..., None], energy[..., None] / ENERGY_UNIT), dim=2) * inside
        hidden = convolve(self.conv_in, inputs) * inside
        for block in self.blocks:
            hidden = block(hidden, inside)
        parts = SpectralParts(*self.head(self.norm(hidden)).split(BINS, dim=2))
        return parts._replace(
            harmonic_level=self.speaker(parts.harmonic_level),
            noise_level=self.speaker(parts.noise_level),
            residual_level=self.speaker(parts.residual_level),
        )
