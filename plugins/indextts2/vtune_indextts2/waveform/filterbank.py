"""Compute Kaldi's log-mel filter bank ``[frames, 80]``, the input of the speaker encoder.

Frames have 25 ms, every 10 ms, none beyond the end. The mean of each frame is subtracted. Then follow pre-emphasis,
the Povey window (Hann to the power 0.85), power spectrum, 80 triangles in the mel domain, natural logarithm. No dither.

Source: Kaldi's ``compute-fbank-feats`` and its documentation.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from transformers.audio_utils import mel_filter_bank, window_function

SAMPLE_RATE = 16_000
FRAME_SAMPLES = 400
HOP_SAMPLES = 160
FFT_SAMPLES = 512
MEL_BINS = 80
MIN_FREQUENCY_HZ, MAX_FREQUENCY_HZ = 20.0, 8_000.0
PREEMPHASIS = 0.97
POWER_FLOOR = torch.finfo(torch.float32).eps


def filter_bank(waveform: torch.Tensor) -> torch.Tensor:
    """Compute ``[frames, 80]`` log energies; silence is ``ln(2^-23) = -15.94`` in every bin.

    :param waveform: ``[n]`` or ``[1, n]`` at 16 kHz, full scale at 1 (not at 32768).
    :returns: ``frames = 1 + (n - 400) // 160``.
    :raises ValueError: the sound is shorter than one frame.
    """
    samples = waveform.reshape(-1)
    if len(samples) < FRAME_SAMPLES:
        raise ValueError(f"{len(samples)} samples are shorter than one frame of {FRAME_SAMPLES}")
    frames = samples.unfold(0, FRAME_SAMPLES, HOP_SAMPLES)
    frames = frames - frames.mean(dim=1, keepdim=True)
    # The first sample of a frame has no sample before it, but the window is 0 there.
    frames = (frames - PREEMPHASIS * frames.roll(1, dims=1)) * _window().to(samples)
    power: torch.Tensor = torch.fft.rfft(frames, n=FFT_SAMPLES).abs().square()
    return (power @ _triangles().to(samples)).clamp(min=POWER_FLOOR).log()


def centred_filter_bank(waveform: torch.Tensor) -> torch.Tensor:
    """Compute ``filter_bank`` less each bin's mean over the clip, ``[frames, 80]``: what CAM++ takes.

    :raises ValueError: as ``filter_bank``.
    """
    features = filter_bank(waveform)
    return features - features.mean(dim=0, keepdim=True)


@lru_cache(maxsize=1)
def _window() -> torch.Tensor:
    return torch.from_numpy(window_function(FRAME_SAMPLES, "povey", periodic=False)).float()


@lru_cache(maxsize=1)
def _triangles() -> torch.Tensor:
    weights = mel_filter_bank(
        num_frequency_bins=FFT_SAMPLES // 2 + 1,
        num_mel_filters=MEL_BINS,
        min_frequency=MIN_FREQUENCY_HZ,
        max_frequency=MAX_FREQUENCY_HZ,
        sampling_rate=SAMPLE_RATE,
        mel_scale="kaldi",
        triangularize_in_mel_space=True,
    )
    return torch.from_numpy(weights).float()
