"""Compute speaker embeddings with the network of Resemblyzer, whose weights come with vtune.

The package Resemblyzer itself is not needed: it asks for webrtcvad, which has no wheels and needs a C compiler.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr

from vtune.types import Waveform

if TYPE_CHECKING:
    import torch

ENCODER_SAMPLE_RATE = 16_000

ENCODER_RMS = 0.03
"""RMS of the network's training data: -30 dBFS."""

MIN_EMBEDDING_SECONDS = 2.0
"""Shorter clips embed badly: 1 s of the same voice is no closer than 3 s of another speaker."""

WINDOW_SAMPLES = 400
STEP_SAMPLES = 160
MEL_BANDS = 40
"""The network's spectrograms: 25 ms every 10 ms, 40 bands."""

PART_FRAMES = 160
PARTS_PER_SECOND = 1.3
MIN_PART_COVERAGE = 0.75
"""A clip is embedded in parts of 1.6 s, 1.3 of them a second; the last part needs three quarters of sound."""

HIDDEN_SIZE = 256
LSTM_LAYERS = 3

_WEIGHTS = Path(__file__).parent / "speaker_encoder" / "weights.safetensors"


class SpeakerEncoder:
    """The GE2E network (Wan et al. 2018) on the CPU: mel spectrogram -> LSTM -> projection -> ReLU -> length 1."""

    def __init__(self) -> None:
        import torch
        from safetensors.torch import load_file

        self._lstm = torch.nn.LSTM(MEL_BANDS, HIDDEN_SIZE, LSTM_LAYERS, batch_first=True)
        self._linear = torch.nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE)
        weights = {name: tensor.float() for name, tensor in load_file(str(_WEIGHTS)).items()}
        for module, prefix in ((self._lstm, "lstm."), (self._linear, "linear.")):
            module.load_state_dict(
                {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
            )
        self._bands = mel_filters()

    def embed(self, waveform: Waveform, sample_rate: int) -> np.ndarray:
        """Return the embedding of one clip's voice: ``float32 [256]`` of length 1.

        The dot product of two embeddings is their similarity: 0.86 to 0.96 within one speaker, 0.45 to
        0.75 between speakers of one sex.
        """
        import torch

        sound = soxr.resample(waveform, sample_rate, ENCODER_SAMPLE_RATE, quality="HQ")
        sound *= ENCODER_RMS / max(float(np.sqrt(np.mean(np.square(sound)))), 1e-6)
        starts = part_starts(len(sound))
        missing = (starts[-1] + PART_FRAMES) * STEP_SAMPLES - len(sound)
        mel = self._spectrogram(np.pad(sound, (0, max(0, missing))))
        parts = np.stack([mel[start : start + PART_FRAMES] for start in starts])
        with torch.no_grad():
            mean = self._embed_parts(torch.from_numpy(parts)).mean(dim=0)
        return np.asarray((mean / mean.norm()).numpy())

    def _embed_parts(self, parts: torch.Tensor) -> torch.Tensor:
        """Embed ``[parts, frames, bands]`` as ``[parts, 256]``."""
        import torch

        _, (hidden, _) = self._lstm(parts)
        embeddings: torch.Tensor = torch.relu(self._linear(hidden[-1]))
        lengths: torch.Tensor = embeddings.norm(dim=1, keepdim=True)
        return embeddings / lengths

    def _spectrogram(self, sound: np.ndarray) -> np.ndarray:
        """Return the power in each band, ``float32 [1 + samples // 160, 40]``; a frame is centred on its time."""
        padded = np.pad(sound, WINDOW_SAMPLES // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::STEP_SAMPLES]
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)
        power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
        return np.asarray(power @ self._bands.T, dtype=np.float32)


def part_starts(samples: int) -> list[int]:
    """Return the first frame of each part of a clip.

    Example::

        part_starts(35_200) gives [0, 77]  # 2.2 s
        part_starts(28_800) gives [0]  # 1.8 s: a part from frame 77 would have less than three quarters of sound
    """
    frames = -(-(samples + 1) // STEP_SAMPLES)
    step = round(ENCODER_SAMPLE_RATE / PARTS_PER_SECOND / STEP_SAMPLES)
    starts = list(range(0, max(1, frames - PART_FRAMES + step + 1), step))
    covered = (samples - starts[-1] * STEP_SAMPLES) / (PART_FRAMES * STEP_SAMPLES)
    return starts[:-1] if covered < MIN_PART_COVERAGE and len(starts) > 1 else starts


def mel_filters() -> np.ndarray:
    """Return triangular filters ``[40, 201]`` from 0 to 8 kHz, each of area 1 (Slaney's Auditory Toolbox, 1998)."""
    edges = _from_mel(np.linspace(0, _to_mel(ENCODER_SAMPLE_RATE / 2), MEL_BANDS + 2))
    bins = np.linspace(0, ENCODER_SAMPLE_RATE / 2, WINDOW_SAMPLES // 2 + 1)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.clip(np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)), 0, None)
    return np.asarray(triangles * 2 / (high - low))


_LINEAR_HZ_PER_MEL = 200 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27
"""Slaney's scale: linear to 1 kHz, and above it 27 steps for each factor of 6.4."""


def _to_mel(hz: float) -> float:
    return float(_BREAK_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP) if hz >= _BREAK_HZ else hz / _LINEAR_HZ_PER_MEL


def _from_mel(mel: np.ndarray) -> np.ndarray:
    above = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.where(mel >= _BREAK_MEL, above, mel * _LINEAR_HZ_PER_MEL)


def centre_of(embeddings: np.ndarray) -> np.ndarray:
    """Return the mean of the half of ``[N, 256]`` that is nearest to the median, so that outliers have no effect."""
    median = np.median(embeddings, axis=0)
    near = np.argsort(-(embeddings @ median))[: max(1, len(embeddings) // 2)]
    mean = embeddings[near].mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))
