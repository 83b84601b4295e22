"""How far made speech is from a recording: log mels of three sizes of windows, and pitch.

Mels are compared, and not the fine spectrum, because no pitch is measured so exactly that the tenth harmonic of both
sounds lies at the same place; a loss that sees such harmonics learns noise in their place.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vtune.toolkit.masks import length_mask
from vtune_hibari.alignment.spectra import mel_filters
from vtune_hibari.network.prosody import F0_UNIT_HZ
from vtune_hibari.network.settings import HOP_SAMPLES, SAMPLE_RATE

FLOOR = 1e-2
"""Magnitudes below this share of the recording's mean magnitude count as silence."""

NOISE_QUANTILE = 0.06
"""The recording's noise is what a band has in its most silent frames."""

NOISE_FACTOR = 2.0
"""This much of the noise's power is subtracted from the recording, so that a voice does not learn the room."""

_SMALLEST_MAGNITUDE = 1e-5


@dataclass(frozen=True, slots=True)
class Resolution:
    """One size of windows, in samples, with the mel bands that it can tell apart."""

    fft_samples: int
    window_samples: int
    bands: int


RESOLUTIONS = (Resolution(512, 480, 40), Resolution(1024, 960, 80), Resolution(2048, 1800, 120))


def mel_distance(made: torch.Tensor, recorded: torch.Tensor, frame_counts: torch.Tensor) -> torch.Tensor:
    """Return half the mean difference of log mel power, the natural logarithm of an amplitude, of each row, ``[B]``.

    :param made: samples ``[B x F * 300]``, 0 at padding.
    :param recorded: the same of the recordings.
    :param frame_counts: int64 ``[B]``.
    """
    inside = length_mask(frame_counts, made.shape[1] // HOP_SAMPLES)
    rows = torch.zeros(len(made), device=made.device)
    for resolution in RESOLUTIONS:
        floor, target = _target(recorded, inside, resolution)
        power = _mel_power(made, resolution)
        distance = 0.5 * ((power + floor).log() - (target + floor).log()).abs().mean(1)  # [B x F]
        rows = rows + (distance * inside).sum(1) / frame_counts
    return rows / len(RESOLUTIONS)


def pitch_distance(f0: torch.Tensor, target: torch.Tensor, frame_counts: torch.Tensor) -> torch.Tensor:
    """Return the mean difference of two pitches in units of 100 Hz, of each row ``[B]``.

    :param f0: Hz, ``[B x F]``.
    :param target: the same.
    :param frame_counts: int64 ``[B]``.
    """
    inside = length_mask(frame_counts, f0.shape[1])
    return ((f0 - target).abs() * inside).sum(1) / frame_counts / F0_UNIT_HZ


@torch.no_grad()
def _target(recorded: torch.Tensor, inside: torch.Tensor, resolution: Resolution) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the power that counts as silence ``[B x 1 x 1]``, and the recording's mel power without its noise."""
    magnitudes = _magnitudes(recorded, resolution)
    level = (magnitudes.mean(1) * inside).sum(1) / inside.sum(1)
    floor = (FLOOR * level).clamp(min=_SMALLEST_MAGNITUDE).square()[:, None, None] * resolution.fft_samples
    power = _mels(magnitudes, resolution)
    noise = _quantiles(power, inside, NOISE_QUANTILE)[..., None]
    return floor, (power - NOISE_FACTOR * noise).clamp(min=0)


def _quantiles(power: torch.Tensor, inside: torch.Tensor, share: float) -> torch.Tensor:
    """Return what a share of the frames of each band lies below, ``[B x bands]``; padding does not count."""
    ordered = power.masked_fill(~inside[:, None], torch.inf).sort(2).values
    index = (share * inside.sum(1)).long()[:, None, None].expand(-1, power.shape[1], 1)
    return ordered.gather(2, index)[..., 0]


def _mel_power(samples: torch.Tensor, resolution: Resolution) -> torch.Tensor:
    return _mels(_magnitudes(samples, resolution), resolution)


def _mels(magnitudes: torch.Tensor, resolution: Resolution) -> torch.Tensor:
    filters = mel_filters(resolution.bands, resolution.fft_samples, 0.0, SAMPLE_RATE / 2).to(magnitudes.device)
    return filters @ magnitudes.square()


def _magnitudes(samples: torch.Tensor, resolution: Resolution) -> torch.Tensor:
    """Return magnitudes ``[B x bins x F]``, of windows around the beginnings of frames."""
    window = torch.hann_window(resolution.window_samples, device=samples.device)
    spectra = torch.stft(
        samples.float(), resolution.fft_samples, HOP_SAMPLES, resolution.window_samples, window,
        pad_mode="constant", return_complex=True,
    )  # fmt: skip
    return spectra[..., :-1].abs().clamp(min=_SMALLEST_MAGNITUDE)
