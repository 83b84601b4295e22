"""Endings, lengths and levels of sounds with known values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vtune.evaluation import RECORDING, MetricValues, TestSet, Utterance
from vtune.evaluation.metrics.delivery import Delivery
from vtune.recipe import Recipe
from vtune.types import Clip, Ending

RATE = 16_000


def vowel(seconds: float, level: float = 0.2) -> np.ndarray:
    """Return harmonics of 150 Hz that decrease with frequency, as in speech."""
    times = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * 150 * n * times + n) / n for n in range(1, 40))
    wave = wave * (1 + 0.5 * np.sin(2 * np.pi * 5 * times))
    return (level * wave / np.abs(wave).max()).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1e-4, round(seconds * RATE)).astype(np.float32)


@pytest.fixture
def judged(toy: Callable[..., Recipe]) -> Callable[..., dict[str, MetricValues]]:
    def judge(utterances: list[Utterance], clips: list[Clip]) -> dict[str, MetricValues]:
        return dict(Delivery(TestSet([], clips), toy()).measure(utterances).values)

    return judge


def values(judged: MetricValues) -> list[float | None]:
    return [None if ratio is None else ratio.numerator / ratio.denominator for ratio in judged]


def test_endings(judged: Callable[..., dict[str, MetricValues]], utterance: Callable[..., Utterance]) -> None:
    endings = (Ending.END_TOKEN, Ending.RUNAWAY, Ending.LIMIT, None)
    judged_values = judged([utterance("a", ending=ending) for ending in endings], [])
    assert values(judged_values["stop_rate"]) == [1, 0, 0, None]


def test_lengths_are_against_the_recording_else_against_the_speaker_s_pace(
    toy: Callable[..., Recipe], utterance: Callable[..., Utterance], clip: Callable[..., Clip]
) -> None:
    clips = [clip("ten letters", 2.0), clip("ten of them", 3.0)]  # 10 and 9 letters
    utterances = [
        utterance("ten letters", seconds=3.0), utterance("ten letters", seconds=5.0),
        utterance("twenty letters and so on", seconds=4.0), utterance("ten letters", RECORDING, ending=None),
    ]  # fmt: skip
    delivery = Delivery(TestSet(["ten letters", "twenty letters and so on"], clips), toy())
    result = delivery.measure(utterances).values
    expected = 5.0 / 19 * 20
    assert values(result["duration_ratio"]) == [
        pytest.approx(1.5),
        pytest.approx(2.5),
        pytest.approx(4 / expected),
        None,
    ]
    assert values(result["runaway_rate"]) == [0, 1, 0, None]


def test_pauses_and_silences(
    judged: Callable[..., dict[str, MetricValues]], utterance: Callable[..., Utterance]
) -> None:
    sound = np.concatenate([silence(0.5), vowel(1.0), silence(0.6), vowel(1.4), silence(0.8)])
    judged_values = judged([utterance("abcdefghij", sound=sound)], [])
    assert values(judged_values["leading_silence_seconds"]) == [pytest.approx(0.5, abs=0.06)]
    assert values(judged_values["trailing_silence_seconds"]) == [pytest.approx(0.8, abs=0.06)]
    assert values(judged_values["pause_ratio"]) == [pytest.approx(0.6 / 3.0, abs=0.04)]
    assert values(judged_values["speaking_rate"]) == [pytest.approx(10 / 3.0, rel=0.05)]
    assert values(judged_values["cutoff_rate"]) == [0]


def test_a_take_that_stops_within_a_word_is_cut(
    judged: Callable[..., dict[str, MetricValues]], utterance: Callable[..., Utterance]
) -> None:
    sounds = [np.concatenate([silence(0.3), vowel(1.5)]), np.concatenate([silence(0.3), vowel(1.5), silence(0.1)])]
    assert values(judged([utterance("a", sound=sound) for sound in sounds], [])["cutoff_rate"]) == [1, 0]


def test_levels_and_clipping(
    judged: Callable[..., dict[str, MetricValues]], utterance: Callable[..., Utterance]
) -> None:
    loud, soft = vowel(2.0, 0.4), vowel(2.0, 0.04)
    judged_values = judged(
        [utterance("a", sound=loud), utterance("a", sound=soft), utterance("a", sound=np.clip(6 * loud, -1, 1))], []
    )
    first, second, _ = values(judged_values["speech_level_dbfs"])
    assert first is not None
    assert second is not None
    assert first - second == pytest.approx(20.0, abs=0.5)
    clipped = values(judged_values["clipping_rate"])
    assert clipped[:2] == [0, 0]
    assert clipped[2] == pytest.approx(float(np.mean(np.abs(6 * loud) >= 1)), abs=0.03)


def test_silence_has_no_pace(
    judged: Callable[..., dict[str, MetricValues]], utterance: Callable[..., Utterance]
) -> None:
    judged_values = judged(
        [utterance("a", sound=np.zeros(RATE, np.float32)), utterance("a", sound=np.zeros(0, np.float32))], []
    )
    assert values(judged_values["speaking_rate"]) == [None, None]
    assert values(judged_values["stop_rate"]) == [1, 1]
