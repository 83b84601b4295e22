"""Compute the log-mel spectrograms of the vocoder: magnitudes, Slaney's mel scale and norm, natural logarithm.

Source: HiFi-GAN (Kong et al., 2020, arXiv:2010.05646), whose features BigVGAN kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch.nn import functional as F
from transformers.audio_utils import mel_filter_bank

MAGNITUDE_FLOOR = 1e-5


@dataclass(frozen=True, slots=True)
class MelSettings:
    """How a spectrogram is made; lengths in samples, frequencies in Hz; ``fmax`` None is half the sample rate."""

    sample_rate: int = 22_050
    n_fft: int = 1024
    win_length: int = 1024
    hop_length: int = 256
    bins: int = 80
    fmin: float = 0.0
    fmax: float | None = None


RELEASED_MEL_SETTINGS = MelSettings()


def log_mel(waveform: torch.Tensor, settings: MelSettings = RELEASED_MEL_SETTINGS) -> torch.Tensor:
    """Compute log-mel spectrograms ``[B, bins, frames]``; silence is ``ln(1e-5) = -11.51``.

    :param waveform: ``[B, n]`` at the settings' sample rate, full scale at 1.
    :returns: ``frames = n // hop_length``, the clip mirrored by ``(n_fft - hop_length) / 2`` samples at both ends.
    :raises ValueError: the clip is too short to be mirrored.
    """
    mirrored = (settings.n_fft - settings.hop_length) // 2
    samples = waveform.shape[-1]
    if samples <= mirrored:
        raise ValueError(f"{samples} samples are too short: a mel spectrogram takes at least {mirrored + 1}")
    spectrum = torch.stft(
        F.pad(waveform, (mirrored, mirrored), mode="reflect"),
        settings.n_fft,
        hop_length=settings.hop_length,
        win_length=settings.win_length,
        window=_window(settings.win_length).to(waveform),
        center=False,
        return_complex=True,
    )
    magnitude = torch.view_as_real(spectrum).square().sum(dim=-1).add(1e-9).sqrt()
    return (_triangles(settings).to(waveform) @ magnitude).clamp(min=MAGNITUDE_FLOOR).log()


@lru_cache(maxsize=4)
def _window(length: int) -> torch.Tensor:
    return torch.hann_window(length, device="cpu", dtype=torch.float32)


@lru_cache(maxsize=4)
def _triangles(settings: MelSettings) -> torch.Tensor:
    weights = mel_filter_bank(
        num_frequency_bins=settings.n_fft // 2 + 1,
        num_mel_filters=settings.bins,
        min_frequency=settings.fmin,
        max_frequency=settings.sample_rate / 2 if settings.fmax is None else settings.fmax,
        sampling_rate=settings.sample_rate,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.from_numpy(weights.T).float().contiguous()
