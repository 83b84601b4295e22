"""Make the pulse train of a pitch: the sound of a source with all harmonics, which filters turn into a voice."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from vtune.toolkit.masks import length_mask

MIN_VOICED_HZ = 40.0
"""A sample with a lower pitch has no pulse train."""

NEAR_PULSE = 1e-6
"""A divisor of the Dirichlet kernel below this one counts as 0: all harmonics have their peaks there."""


@torch.no_grad()
def pulse_train(
    f0: torch.Tensor, frame_counts: torch.Tensor, sample_rate: int, hop_samples: int, highest_hz: float
) -> torch.Tensor:
    """Return the sum of all harmonics below a frequency with amplitude 1 each, float32 ``[B x F * hop]``, 0 at padding.

    With H harmonics at phase t, ``cos t + ... + cos Ht = sin((H + 1/2) t) / (2 sin(t / 2)) - 1/2`` (Dirichlet kernel).
    Pitch is interpolated linearly between the middles of frames. Phases are float64, because their error grows with H.

    :param f0: Hz, ``[B x F]``; samples below 40 Hz are 0.
    :param frame_counts: frames of each row, int64 ``[B]``.
    :param sample_rate: samples a second.
    :param hop_samples: samples of a frame.
    :param highest_hz: no harmonic lies above this frequency.
    """
    if f0.device.type == "mps":  # has no float64
        return pulse_train(f0.cpu(), frame_counts.cpu(), sample_rate, hop_samples, highest_hz).to(f0.device)
    places = torch.arange(f0.shape[1], device=f0.device).minimum(frame_counts[:, None] - 1)
    held = f0.double().gather(1, places)  # the last pitch of a row goes on, so that no sample leans on padding
    pitch = functional.interpolate(held[:, None], scale_factor=hop_samples, mode="linear", align_corners=False)[:, 0]
    inside = length_mask(frame_counts * hop_samples, pitch.shape[1])
    voiced = (pitch > MIN_VOICED_HZ) & inside
    pitch = pitch.clamp(min=MIN_VOICED_HZ)
    phase = 2 * math.pi * (pitch.cumsum(1) / sample_rate).frac()
    harmonics = (highest_hz / pitch).floor()
    divisor = 2 * (phase / 2).sin()
    near = divisor.abs() < NEAR_PULSE
    ratio = ((harmonics + 0.5) * phase).sin() / divisor.masked_fill(near, 1.0)
    train = torch.where(near, harmonics, ratio - 0.5)
    return torch.where(voiced, train, 0.0).float()
