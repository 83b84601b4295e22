"""Generate sound from log-mel spectrograms with BigVGAN v2 (Lee et al., 2023, arXiv:2206.04658)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from vtune_indextts2.vocoder.activation import AntiAliasedSnake
from vtune_indextts2.vocoder.settings import BigVGANSettings

UNUSED_ENTRIES = ("*.filter",)
"""Entries of the file that the network does not need: the low-pass filter, which is a constant."""

OUTER_KERNEL_SIZE = 7


class AMPBlock(nn.Module):
    """For each dilation: activation, dilated convolution, activation, convolution, added to the input."""

    def __init__(self, channels: int, kernel_size: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel_size, dilation=dilation, padding="same") for dilation in dilations
        )
        self.convs2 = nn.ModuleList(nn.Conv1d(channels, channels, kernel_size, padding="same") for _ in dilations)
        self.activations = nn.ModuleList(AntiAliasedSnake(channels) for _ in range(2 * len(dilations)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, C, T]`` to the same shape."""
        before, between = self.activations[::2], self.activations[1::2]
        for first, dilated, second, plain in zip(before, self.convs1, between, self.convs2, strict=True):
            x = x + plain(second(dilated(first(x))))
        return x


class BigVGAN(nn.Module):
    """BigVGAN's generator, frozen: it computes no gradients."""

    def __init__(self, settings: BigVGANSettings) -> None:
        super().__init__()
        channels = settings.upsample_initial_channel
        self.conv_pre = nn.Conv1d(settings.num_mels, channels, OUTER_KERNEL_SIZE, padding="same")
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        for rate, kernel_size in zip(settings.upsample_rates, settings.upsample_kernel_sizes, strict=True):
            padding = (kernel_size - rate) // 2
            self.ups.append(
                nn.Sequential(nn.ConvTranspose1d(channels, channels // 2, kernel_size, stride=rate, padding=padding))
            )
            channels //= 2
            self.resblocks.extend(
                AMPBlock(channels, size, dilations)
                for size, dilations in zip(
                    settings.resblock_kernel_sizes, settings.resblock_dilation_sizes, strict=True
                )
            )
        self.activation_post = AntiAliasedSnake(channels)
        self.conv_post = nn.Conv1d(channels, 1, OUTER_KERNEL_SIZE, padding="same", bias=False)

    @torch.no_grad()
    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Generate sound from a spectrogram.

        :param mel: log-mel ``[B, num_mels, T]``.
        :returns: ``[B, 1, T * hop_size]`` at ``sampling_rate``, from -1 to 1.
        """
        x = self.conv_pre(mel)
        count = len(self.resblocks) // len(self.ups)
        for stage, up in enumerate(self.ups):
            x = up(x)
            total = torch.zeros_like(x)
            for block in self.resblocks[stage * count : (stage + 1) * count]:
                total += block(x)
            x = total / count
        waveform: torch.Tensor = self.conv_post(self.activation_post(x))
        return waveform.clamp_(-1, 1)
