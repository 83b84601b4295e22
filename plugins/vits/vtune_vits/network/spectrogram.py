"""Compute linear and mel spectrograms as the training of VITS and Piper has them."""

from __future__ import annotations

import math
from functools import cache

import torch

MEL_BANDS = 80
POWER_FLOOR = 1e-6
"""Added to the power before the square root, so that the root has a gradient in silence."""
MEL_FLOOR = 1e-5
"""Mel magnitudes below this one count as this one before the logarithm."""

MAGNITUDE_FLOOR = 1e-3
"""Smooth floor of ``stft_magnitudes``; the noise of recordings lies above it if speech has an RMS of 0.2."""


def linear_spectrogram(
    samples: torch.Tensor, fft_size: int, hop_length: int, lengths: torch.Tensor | None = None
) -> torch.Tensor:
    """Compute magnitudes, float32 ``[B, fft_size // 2 + 1, N // hop_length]``, of waveforms float32 ``[B, N]``.

    Frame t is centred on the middle of the samples ``[t * hop_length, (t + 1) * hop_length)``; the window is a Hann
    window of ``fft_size``. Beyond its two ends a clip is mirrored, as Piper's training has it.

    :param lengths: samples of each clip without padding, int64 ``[B]``; None if no clip is padded. A clip is mirrored
        at its own end, so that padding changes none of its frames.
    """
    samples = samples.float()
    padded = _mirrored(samples, (fft_size - hop_length) // 2, lengths)
    window = torch.hann_window(fft_size, device=samples.device)
    spectrum = torch.stft(padded, fft_size, hop_length, window=window, center=False, return_complex=True)
    return torch.view_as_real(spectrum).square().sum(-1).add(POWER_FLOOR).sqrt()


def stft_magnitudes(segments: torch.Tensor, fft_size: int) -> torch.Tensor:
    """Compute floored magnitudes, float32 ``[B, fft_size // 2 + 1, frames]``, of segments ``[B, samples]``.

    A frame begins every quarter of a window. Nothing is added at the ends, so a segment has
    ``1 + (samples - fft_size) // (fft_size // 4)`` frames.

    :param fft_size: samples of the Hann window, at most the samples of a segment.
    """
    window = torch.hann_window(fft_size, device=segments.device)
    spectrum = torch.stft(segments.float(), fft_size, fft_size // 4, window=window, center=False, return_complex=True)
    return torch.view_as_real(spectrum).square().sum(-1).add(MAGNITUDE_FLOOR**2).sqrt()


def log_mel(magnitudes: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Turn magnitudes ``[B, bins, T]`` into natural logarithms of mel magnitudes ``[B, 80, T]``."""
    filters = mel_filters(sample_rate, 2 * (magnitudes.shape[1] - 1), MEL_BANDS).to(magnitudes.device)
    return torch.matmul(filters, magnitudes).clamp(min=MEL_FLOOR).log()


@cache
def mel_filters(sample_rate: int, fft_size: int, bands: int) -> torch.Tensor:
    """Return triangles of equal area over the frequencies of a spectrum, float32 ``[bands, fft_size // 2 + 1]``.

    The mel scale is that of Slaney's Auditory Toolbox (1998): linear below 1000 Hz with 200/3 Hz a mel, and above it
    27 mels for a factor of 6.4. The bands lie between 0 Hz and half the sample rate.
    """
    corners = _hertz(torch.linspace(0, _mel(sample_rate / 2), bands + 2, dtype=torch.float64))  # [bands + 2]
    frequencies = torch.linspace(0, sample_rate / 2, fft_size // 2 + 1, dtype=torch.float64)[None]
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles * 2 / (high - low)).float()


_LINEAR_HERTZ_PER_MEL = 200 / 3
_LOG_START_HERTZ = 1000.0
_LOG_START_MEL = _LOG_START_HERTZ / _LINEAR_HERTZ_PER_MEL
_LOG_STEP = math.log(6.4) / 27


def _mel(hertz: float) -> float:
    if hertz < _LOG_START_HERTZ:
        return hertz / _LINEAR_HERTZ_PER_MEL
    return _LOG_START_MEL + math.log(hertz / _LOG_START_HERTZ) / _LOG_STEP


def _hertz(mels: torch.Tensor) -> torch.Tensor:
    logarithmic = _LOG_START_HERTZ * torch.exp(_LOG_STEP * (mels - _LOG_START_MEL))
    return torch.where(mels < _LOG_START_MEL, _LINEAR_HERTZ_PER_MEL * mels, logarithmic)


def _mirrored(samples: torch.Tensor, margin: int, lengths: torch.Tensor | None) -> torch.Tensor:
    """Extend each clip by ``margin`` mirrored samples at both of its ends, ``[B, N + 2 * margin]``.

    Samples further behind a clip's end have no meaning. A clip of up to ``margin`` samples is mirrored once and then
    held constant, which no clip of speech needs.
    """
    count = samples.shape[1]
    ends = torch.full((len(samples), 1), count - 1, device=samples.device)
    if lengths is not None:
        ends = (lengths.to(samples.device)[:, None] - 1).clamp(min=0)
    positions = torch.arange(-margin, count + margin, device=samples.device).abs()[None]  # [1, N + 2 * margin]
    positions = ends - (ends - positions).abs()  # mirrored at the end
    return samples.gather(1, positions.clamp(min=0, max=count - 1))
