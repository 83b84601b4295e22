"""The vocoder: latents to samples, with the residual blocks of all of Piper's qualities.

A HiFi-GAN generator (Kong et al. 2020, arXiv 2010.05646). Parameters have the names of ``VitsModel`` of transformers,
which knows residual blocks of type 1 only.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from vtune_vits.network.settings import VitsSettings, VocoderSettings

LAST_LEAKY_SLOPE = 0.01
"""Slope before the last convolution, where the published networks use torch's own default."""

EDGE_KERNEL = 7
"""Kernel of the first and of the last convolution."""


class Made(NamedTuple):
    """Segments that a vocoder has made again in a training."""

    draws: torch.Tensor
    """Samples, ``[K x B x samples]``: K sounds of each segment, which differ in their noise."""

    log_f0: torch.Tensor | None
    """Logarithm of the pitch in Hz that the vocoder reads from the latents, ``[B x T]``; None if it reads none."""


class ResidualBlock(nn.Module):
    """Adds convolutions of growing dilation to a signal ``[B x C x T]``: block type 1 or 2 of HiFi-GAN.

    For each dilation a block of type 2 has one convolution; a block of type 1 has a second one of dilation 1.
    """

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...], settings: VocoderSettings) -> None:
        super().__init__()
        self.leaky_slope = settings.leaky_slope
        dilated = nn.ModuleList(_same_length_convolution(channels, kernel, dilation) for dilation in dilations)
        if settings.residual_type == 1:
            self.convs1 = dilated
            self.convs2 = nn.ModuleList(_same_length_convolution(channels, kernel, 1) for _ in dilations)
        else:
            self.convs = dilated

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """Return the changed signal, ``[B x C x T]``."""
        stages = zip(self.convs1, self.convs2, strict=True) if hasattr(self, "convs1") else ((c,) for c in self.convs)
        for convolutions in stages:
            update = signal
            for convolution in convolutions:
                update = convolution(nn.functional.leaky_relu(update, self.leaky_slope))
            signal = signal + update
        return signal


class Vocoder(nn.Module):
    """Makes the waveform from latents."""

    def __init__(self, settings: VitsSettings) -> None:
        super().__init__()
        shapes = settings.vocoder
        self.leaky_slope = shapes.leaky_slope
        self.conv_pre = nn.Conv1d(settings.flow_size, shapes.first_channels, EDGE_KERNEL, padding=EDGE_KERNEL // 2)
        if settings.conditioning_size:
            self.cond = nn.Conv1d(settings.conditioning_size, shapes.first_channels, 1)
        self.upsampler = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        channels = shapes.first_channels
        for rate, kernel in zip(shapes.upsample_rates, shapes.upsample_kernels, strict=True):
            padding = (kernel - rate) // 2
            self.upsampler.append(nn.ConvTranspose1d(channels, channels // 2, kernel, rate, padding=padding))
            channels //= 2
            for residual_kernel, dilations in zip(shapes.residual_kernels, shapes.residual_dilations, strict=True):
                self.resblocks.append(ResidualBlock(channels, residual_kernel, dilations, shapes))
        self.conv_post = nn.Conv1d(channels, 1, EDGE_KERNEL, padding=EDGE_KERNEL // 2, bias=False)

    def forward(self, latents: torch.Tensor, speaker: torch.Tensor | None = None) -> torch.Tensor:
        """Return samples from -1 to 1, ``[B x 1 x T * hop]``, of latents ``[B x C x T]``.

        :param speaker: the speakers' embeddings ``[B x G x 1]``; None for a voice of one speaker.
        """
        signal = self.conv_pre(latents)
        if speaker is not None:
            signal = signal + self.cond(speaker)
        block_count = len(self.resblocks) // len(self.upsampler)
        for stage, upsampling in enumerate(self.upsampler):
            signal = upsampling(nn.functional.leaky_relu(signal, self.leaky_slope))
            blocks = self.resblocks[stage * block_count : (stage + 1) * block_count]
            total = blocks[0](signal)
            for block in blocks[1:]:
                total = total + block(signal)
            signal = total / block_count
        waveform: torch.Tensor = self.conv_post(nn.functional.leaky_relu(signal, LAST_LEAKY_SLOPE)).tanh()
        return waveform

    def make(
        self, latents: torch.Tensor, speaker: torch.Tensor | None, f0: torch.Tensor | None, lots: torch.Tensor
    ) -> Made:
        """Make segments again, once; the pitch is in the latents, and nothing is drawn."""
        with torch.autocast(latents.device.type, enabled=False):
            # Products in bf16 would add noise of -40 dB to the sound, by which discriminators would know it.
            return Made(self(latents.float(), speaker)[:, 0][None], None)


def _same_length_convolution(channels: int, kernel: int, dilation: int) -> nn.Conv1d:
    return nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)
