"""From the decoder's spectral parts to samples: harmonics of a pulse train, noise, and a residual, in one inverse STFT.

The spectrum of a frame is ``exp(a) e^(i pi tanh(b)) P + exp(c) N + exp(d) e^(i e)``, where P is the spectrum of a pulse
train of the pitch, N is complex noise, and a to e are the parts of `SpectralParts` in their order.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from vtune.toolkit.masks import length_mask
from vtune.toolkit.pulses import pulse_train
from vtune_hibari.network.decoder import SpectralParts
from vtune_hibari.network.settings import BINS, FFT_SAMPLES, HOP_SAMPLES, SAMPLE_RATE

MAX_LEVEL = 7.0
"""Largest logarithm of a level; larger ones are cut off."""

MAX_HARMONIC_HZ = 11_000.0
"""Highest harmonic of the pulse train."""

_OVERLAP = FFT_SAMPLES // HOP_SAMPLES
_MIN_WINDOW_POWER = 1e-11


def synthesise(parts: SpectralParts, f0: torch.Tensor, noise: torch.Tensor, frame_counts: torch.Tensor) -> torch.Tensor:
    """Return samples, float32 ``[B x F * 300]``, 0 at padding; the sound of a row does not depend on other rows.

    Gradients flow to the parts, and not to the pitch: samples depend on it through phases of hundreds of harmonics,
    whose gradient says nothing about which way to go.

    :param f0: Hz, ``[B x F]``.
    :param noise: complex64 ``[B x F x 601]``, real and imaginary part of variance 1 each.
    :param frame_counts: frames of each row, int64 ``[B]``; F is the largest.
    """
    pulses = pulse_train(f0, frame_counts, SAMPLE_RATE, HOP_SAMPLES, MAX_HARMONIC_HZ)
    source = stft(pulses, frame_counts)
    return inverse_stft(combine(parts, source, noise), frame_counts)


def stft(samples: torch.Tensor, frame_counts: torch.Tensor) -> torch.Tensor:
    """Return the spectra around the beginnings of frames, complex64 ``[B x F x 601]``.

    A cosine's peak has the cosine's amplitude.

    Each row is reflected at its own two ends, so that a row is the same in every batch.

    :param samples: ``[B x F * 300]``.
    :param frame_counts: int64 ``[B]``.
    """
    half = FFT_SAMPLES // 2
    last = frame_counts[:, None] * HOP_SAMPLES - 1
    places = (torch.arange(-half, samples.shape[1] + half, device=samples.device)[None]).abs()
    places = torch.where(places > last, 2 * last - places, places).clamp(min=0)
    places = places.minimum(last)
    padded = samples.gather(1, places)
    windows = padded.unfold(1, FFT_SAMPLES, HOP_SAMPLES)[:, : samples.shape[1] // HOP_SAMPLES]
    spectrum: torch.Tensor = torch.fft.rfft(windows * (_window(samples) / (FFT_SAMPLES / 4)))
    return spectrum


def combine(parts: SpectralParts, source: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Return the spectra of the sound, complex64 ``[B x F x 601]``.

    :param source: spectra of the pulse train, complex ``[B x F x 601]``.
    :param noise: see `synthesise`.
    """
    harmonic = torch.polar(_level(parts.harmonic_level), math.pi * parts.harmonic_phase.float().tanh())
    residual = torch.polar(_level(parts.residual_level), parts.residual_phase.float())
    return harmonic * source + _level(parts.noise_level) * noise + residual


def inverse_stft(spectra: torch.Tensor, frame_counts: torch.Tensor) -> torch.Tensor:
    """Return samples, float32 ``[B x F * 300]``, 0 at padding: overlapping windows, divided by the windows' power.

    :param spectra: complex ``[B x F x 601]``.
    :param frame_counts: int64 ``[B]``.
    """
    batch, size = spectra.shape[:2]
    inside = length_mask(frame_counts, size).to(spectra.real.dtype)[..., None]
    # torch.polar gives the first and the last band an imaginary part, which an inverse transform of real sound ignores.
    window = _window(spectra.real)
    frames = torch.fft.irfft(spectra, FFT_SAMPLES) * window * inside
    power = (window * window).expand(batch, size, FFT_SAMPLES) * inside
    half = FFT_SAMPLES // 2
    samples = _overlap_add(frames) / _overlap_add(power).clamp(min=_MIN_WINDOW_POWER)
    samples = samples[:, half : half + size * HOP_SAMPLES]
    return samples * length_mask(frame_counts * HOP_SAMPLES, size * HOP_SAMPLES)


def _overlap_add(frames: torch.Tensor) -> torch.Tensor:
    """Add windows that begin a hop apart, ``[B x F x 1200]`` to ``[B x (F + 3) * 300]``."""
    hops = frames.reshape(*frames.shape[:2], _OVERLAP, HOP_SAMPLES)
    shifted = [functional.pad(hops[:, :, number], (0, 0, number, _OVERLAP - 1 - number)) for number in range(_OVERLAP)]
    return torch.stack(shifted).sum(0).flatten(1)


def _level(logarithm: torch.Tensor) -> torch.Tensor:
    return logarithm.float().clamp(max=MAX_LEVEL).exp()


def _window(like: torch.Tensor) -> torch.Tensor:
    """Return a periodic Hann window, float32 ``[1200]``, on the device of a tensor."""
    return torch.hann_window(FFT_SAMPLES, device=like.device)


def complex_noise(real: torch.Tensor) -> torch.Tensor:
    """Return complex noise ``[... x 601]`` from standard normal noise ``[... x 1202]``."""
    return torch.view_as_complex(real.float().reshape(*real.shape[:-1], BINS, 2))
