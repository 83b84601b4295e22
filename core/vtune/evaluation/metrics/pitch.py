"""Measure the pitch of a voice in Hz, and its movement in semitones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import soxr

from vtune.contract.metrics import MetricResult, MetricSpec, Ratio, TestSet, Utterance
from vtune.errors import VtuneError
from vtune.evaluation.metric_group import MetricGroup
from vtune.recipe import Recipe
from vtune.types import Waveform

PITCH_SAMPLE_RATE = 16_000
"""Hz that are enough for pitch."""

MIN_F0_HZ, MAX_F0_HZ = 60.0, 500.0
"""Hz between which voices lie."""

FRAME_SAMPLES, HOP_SAMPLES = 1024, 256
"""64 ms hold four periods of the lowest voice; one value each 16 ms."""

MIN_VOICED_FRAMES = 10
"""Voiced frames without which there is no pitch to measure."""


class Pitch:
    """Median and spread of the fundamental frequency (F0), by pYIN (Mauch and Dixon, 2014) as librosa has it.

    :raises VtuneError: librosa is not installed; it comes with the extra ``similarity``.
    """

    specs: ClassVar = (
        MetricSpec("f0_median_hz", "pitch, median (F0)", "neither", "Hz"),
        MetricSpec("f0_std_semitones", "movement of the pitch (standard deviation of F0)", "neither", "semitones"),
    )

    def __init__(self, test_set: TestSet, recipe: Recipe) -> None:
        try:
            import librosa
        except ImportError as error:
            raise VtuneError("the metric needs the extra 'similarity' (pip install 'vtune-tts[similarity]')") from error
        self._librosa: Any = librosa

    def measure(self, utterances: Sequence[Utterance]) -> MetricResult:
        """Follow the pitch of each utterance."""
        rows = [self._median_and_std(utterance) for utterance in utterances]
        return MetricResult(
            {"f0_median_hz": [row and row[0] for row in rows], "f0_std_semitones": [row and row[1] for row in rows]}
        )

    def _median_and_std(self, utterance: Utterance) -> tuple[Ratio, Ratio] | None:
        f0 = self._voiced_f0(utterance.waveform, utterance.sample_rate)
        if len(f0) < MIN_VOICED_FRAMES:
            return None
        median = float(np.median(f0))
        return Ratio(median), Ratio(float(np.std(12 * np.log2(f0 / median))))

    def _voiced_f0(self, waveform: Waveform, sample_rate: int) -> np.ndarray:
        sound = soxr.resample(waveform, sample_rate, PITCH_SAMPLE_RATE)
        if len(sound) < FRAME_SAMPLES or not np.any(sound):
            return np.zeros(0)
        f0, voiced, _ = self._librosa.pyin(
            sound, fmin=MIN_F0_HZ, fmax=MAX_F0_HZ, sr=PITCH_SAMPLE_RATE, frame_length=FRAME_SAMPLES,
            hop_length=HOP_SAMPLES, resolution=0.2,
        )  # fmt: skip
        return np.asarray(f0[voiced])


METRICS = MetricGroup("pitch", Pitch, position=40)
