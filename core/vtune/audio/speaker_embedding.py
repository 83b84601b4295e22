"""Compute speaker embeddings with Resemblyzer (extra ``similarity``), whose package contains the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr

from vtune.errors import VtuneError
from vtune.types import Waveform

ENCODER_SAMPLE_RATE = 16_000

ENCODER_RMS = 0.03
"""RMS of the network's training data: -30 dBFS."""

MIN_EMBEDDING_SECONDS = 2.0
"""Shorter clips embed badly: 1 s of the same voice is no closer than 3 s of another speaker."""


class SpeakerEncoder:
    """Resemblyzer's network, on the CPU. :raises VtuneError: the extra is not installed."""

    def __init__(self) -> None:
        try:
            from resemblyzer import VoiceEncoder
        except ImportError as error:
            raise VtuneError(
                "comparing speakers needs the extra 'similarity' (pip install 'vtune-tts[similarity]')"
            ) from error
        self._encoder: Any = VoiceEncoder("cpu", verbose=False)

    def embed(self, waveform: Waveform, sample_rate: int) -> np.ndarray:
        """Return the embedding of one clip's voice: ``float32 [256]`` of length 1.

        The dot product of two embeddings is their similarity: 0.86 to 0.96 within one speaker, 0.45 to
        0.75 between speakers of one sex.
        """
        sound = soxr.resample(waveform, sample_rate, ENCODER_SAMPLE_RATE, quality="HQ")
        sound *= ENCODER_RMS / max(float(np.sqrt(np.mean(np.square(sound)))), 1e-6)
        return np.asarray(self._encoder.embed_utterance(sound))


def centre_of(embeddings: np.ndarray) -> np.ndarray:
    """Return the mean of the half of ``[N, 256]`` that is nearest to the median, so that outliers have no effect."""
    median = np.median(embeddings, axis=0)
    near = np.argsort(-(embeddings @ median))[: max(1, len(embeddings) // 2)]
    mean = embeddings[near].mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))
