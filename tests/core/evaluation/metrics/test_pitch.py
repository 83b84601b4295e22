from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vtune.errors import VtuneError
from vtune.evaluation import TestSet, Utterance
from vtune.evaluation.metrics.pitch import Pitch
from vtune.recipe import Recipe

RATE = 16_000


def glide(low: float, high: float, seconds: float = 2.0) -> np.ndarray:
    """Return harmonics whose pitch rises from low to high at a constant rate in octaves."""
    hertz = np.geomspace(low, high, round(seconds * RATE))
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    return sum(np.sin(n * phase) / n for n in range(1, 12)).astype(np.float32) * 0.1


def test_median_and_spread_are_those_of_the_sound(
    toy: Callable[..., Recipe], utterance: Callable[..., Utterance]
) -> None:
    pytest.importorskip("librosa")
    sounds = [glide(200, 200), glide(100, 200), np.zeros(RATE, np.float32)]
    result = Pitch(TestSet([], []), toy()).measure([utterance("a", sound=sound) for sound in sounds]).values
    steady, gliding, nothing = (ratio and ratio.numerator for ratio in result["f0_median_hz"])
    assert steady == pytest.approx(200, rel=0.02)
    assert gliding == pytest.approx(np.sqrt(100 * 200), rel=0.04)
    assert nothing is None
    # Twelve semitones passed evenly spread by 12 / sqrt(12).
    level, wide, _ = (ratio and ratio.numerator for ratio in result["f0_std_semitones"])
    assert level == pytest.approx(0.0, abs=0.2)
    assert wide == pytest.approx(12 / np.sqrt(12), rel=0.08)


def test_without_librosa_it_says_what_to_do(toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "librosa", None)
    with pytest.raises(VtuneError, match="extra 'similarity'"):
        Pitch(TestSet([], []), toy())
