"""Predict how long each symbol lasts, and the pitch and the energy of each frame."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from vtune_hibari.network.blocks import ConvolutionBlock, convolve
from vtune_hibari.network.settings import STEP_FRAMES, BlockStackSettings

F0_UNIT_HZ = 100.0
"""The predictor's outputs times this are F0 in Hz."""

ENERGY_UNIT = 5.0
"""The predictor's outputs times this are energies, and the decoder divides them by the same number."""

MAX_SYMBOL_STEPS = 2400
"""Most steps of one symbol when speaking (one minute), so that a damaged predictor cannot fill the memory."""


class Prosody(NamedTuple):
    """Pitch and energy of each frame (80 a second); both are 0 at padding."""

    f0: torch.Tensor
    """Hz, ``[B x F]``; below 40 Hz a frame is voiceless."""

    energy: torch.Tensor
    """In the network's own unit, ``[B x F]``."""


class DurationPredictor(nn.Module):
    """Two convolutions over the symbols of a sentence."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.conv_out = nn.Conv1d(width, 1, 1)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return ``log(1 + steps)`` of each symbol, ``[B x L]``, 0 at padding.

        :param hidden: of the prosody encoder, ``[B x L x C]``, 0 at padding.
        :param mask: bool ``[B x L]``.
        """
        steps = convolve(self.conv_out, functional.gelu(convolve(self.conv_in, hidden)))[..., 0]
        return steps * mask


class ProsodyPredictor(nn.Module):
    """Convolution blocks over steps; each step gives F0 and energy of two frames."""

    def __init__(self, encoder_width: int, settings: BlockStackSettings) -> None:
        super().__init__()
        self.conv_in = nn.Conv1d(encoder_width, settings.width, 1)
        self.blocks = nn.ModuleList(
            ConvolutionBlock(settings.width, settings.expanded, settings.kernel, dilation)
            for dilation in settings.dilations
        )
        self.conv_out = nn.Conv1d(settings.width, 2 * STEP_FRAMES, 1)

    def forward(self, expanded: torch.Tensor, mask: torch.Tensor) -> Prosody:
        """Predict pitch and energy.

        :param expanded: of the prosody encoder, one column for each step, ``[B x T x C]``, 0 at padding.
        :param mask: bool ``[B x T]``, False at padding.
        """
        inside = mask[..., None].to(expanded.dtype)
        hidden = convolve(self.conv_in, expanded) * inside
        for block in self.blocks:
            hidden = block(hidden, inside)
        outputs = convolve(self.conv_out, hidden) * inside  # [B x T x 4]: F0 of both frames, energy of both frames
        f0, energy = (part.flatten(1) for part in torch.split(outputs, STEP_FRAMES, dim=2))
        return Prosody(f0 * F0_UNIT_HZ, energy * ENERGY_UNIT)


def whole_steps(log_durations: torch.Tensor, speed: float = 1.0) -> torch.Tensor:
    """Return the steps of each symbol, int64 of the same shape, each at least 1.

    :param log_durations: of `DurationPredictor`, without padding.
    :param speed: steps are divided by this before they are rounded; 2 is twice as fast.
    """
    steps = (log_durations.float().exp() - 1) / speed
    return steps.round().nan_to_num(1).clamp(1, MAX_SYMBOL_STEPS).long()
