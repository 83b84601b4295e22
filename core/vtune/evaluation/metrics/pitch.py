"""The melody: how high a voice lies, and how far it moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import soxr

from vtune.contract.metrics import MetricResult, MetricSpec, Ratio, TestSet, Utterance
from vtune.errors import VtuneError
from vtune.recipe import Recipe
from vtune.types import Waveform

RATE = 16_000
"""Hz that is enough for pitch."""

LOWEST, HIGHEST = 60.0, 500.0
"""Hz between which voices lie."""

FRAME, HOP = 1024, 256
"""Samples: 64 ms hold four periods of the lowest voice; one value each 16 ms."""

LEAST = 10
"""Voiced frames without which there is no melody."""


class Pitch:
    """Median and spread of the fundamental frequency, by pYIN (Mauch and Dixon, 2014) as librosa has it.

    :raises VtuneError: librosa is not installed; it comes with the extra ``similarity``.
    """

    figures = (
        MetricSpec("pitch", "pitch, median", "neither", "Hz"),
        MetricSpec("melody", "spread of the pitch", "neither", "semitones"),
    )

    def __init__(self, material: TestSet, recipe: Recipe) -> None:
        try:
            import librosa
        except ImportError as error:
            raise VtuneError("it needs the extra 'similarity' (pip install 'vtune-tts[similarity]')") from error
        self._librosa: Any = librosa

    def judge(self, takes: Sequence[Utterance]) -> MetricResult:
        """Follow the pitch of each take."""
        found = [self._one(take) for take in takes]
        return MetricResult({"pitch": [one and one[0] for one in found], "melody": [one and one[1] for one in found]})

    def _one(self, take: Utterance) -> tuple[Ratio, Ratio] | None:
        voiced = self._voiced(take.waveform, take.sample_rate)
        if len(voiced) < LEAST:
            return None
        middle = float(np.median(voiced))
        return Ratio(middle), Ratio(float(np.std(12 * np.log2(voiced / middle))))

    def _voiced(self, waveform: Waveform, sample_rate: int) -> np.ndarray:
        sound = soxr.resample(waveform, sample_rate, RATE)
        if len(sound) < FRAME or not np.any(sound):
            return np.zeros(0)
        hertz, voiced, _ = self._librosa.pyin(
            sound, fmin=LOWEST, fmax=HIGHEST, sr=RATE, frame_length=FRAME, hop_length=HOP, resolution=0.2
        )
        return np.asarray(hertz[voiced])
