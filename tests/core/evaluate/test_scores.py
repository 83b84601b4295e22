"""Figures of takes to figures of a voice, against computations of another kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtune.errors import VtuneError
from vtune.evaluate import Scores, Take, score
from vtune.evaluate.words import WordErrors
from vtune.recipe import Recipe
from vtune.transcribe import Heard
from vtune.types import Clip, Ending

RATE = 8_000


def clip(text: str, seconds: float = 2.5, seed: int = 0) -> Clip:
    noise = np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    return Clip("c", "someone", text, noise, RATE)


def take(
    text: int, *, untuned: bool = False, seconds: float = 2.5, seed: int = 0, ending: Ending | None = None
) -> Take:
    noise = np.random.default_rng(seed + 100).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    return Take(text, seed, untuned, noise, RATE, ending or Ending.END_TOKEN, 0.1)


def by_name(scores: Scores) -> dict[str, Any]:
    return {one.name: one for one in scores.scores}


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the extra for likeness nor weights of a recogniser."""
    monkeypatch.setitem(__import__("sys").modules, "resemblyzer", None)
    monkeypatch.delenv("VTUNE_WHISPER", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/nowhere")


def test_what_cannot_be_measured_says_why_and_the_rest_goes_on(
    toy: Callable[..., Recipe], nothing_installed: None
) -> None:
    clips = [clip("one two"), clip("three four")]
    takes = [take(text, untuned=untuned) for text in range(2) for untuned in (False, True)]
    scores = score(takes, clips, toy())
    assert set(by_name(scores)) == {"ended", "length"}
    assert "extra 'similarity'" in scores.skipped["likeness"]
    assert "evaluate.recogniser=tiny.en" in scores.skipped["words"]


def test_endings_are_counted(toy: Callable[..., Recipe], nothing_installed: None) -> None:
    takes = [
        take(0), take(1, ending=Ending.RUNAWAY), take(2), take(3, ending=Ending.LIMIT),
        take(0, untuned=True), take(1, untuned=True),
    ]  # fmt: skip
    found = by_name(score(takes, [clip("a")] * 4, toy()))["ended"]
    assert (found.tuned, found.base, found.recordings) == (0.5, 1.0, None)
    assert found.each == [1.0, 0.0, 1.0, 0.0, 1.0, 1.0]


def test_lengths_are_weighed_by_the_recordings(toy: Callable[..., Recipe], nothing_installed: None) -> None:
    takes = [take(0, seconds=4.0), take(1, seconds=1.0)]
    found = by_name(score(takes, [clip("a", 2.0), clip("b", 3.0)], toy()))["length"]
    assert found.tuned == pytest.approx((4.0 + 1.0) / (2.0 + 3.0))
    assert found.base is None
    assert found.interval is None


def test_the_interval_is_that_of_a_paired_bootstrap(toy: Callable[..., Recipe], nothing_installed: None) -> None:
    """Against the formula for the standard error of a mean of differences, which it comes to for equal weights."""
    draw = np.random.default_rng(3)
    lengths = draw.uniform(1.0, 4.0, (40, 2))
    takes = [take(text, untuned=bool(side), seconds=lengths[text, side]) for text in range(40) for side in (0, 1)]
    found = by_name(score(takes, [clip("a", 2.0)] * 40, toy()))["length"]
    differences = (lengths[:, 0] - lengths[:, 1]) / 2.0
    middle, width = differences.mean(), 1.96 * differences.std() / np.sqrt(40)
    assert found.interval == pytest.approx((middle - width, middle + width), abs=0.15 * width)


class Hears:
    """A recogniser that is told what it hears."""

    batch = 3

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = list(texts)
        self.asked: list[int] = []

    def hear(self, sounds: Sequence[np.ndarray]) -> list[Heard]:
        self.asked.append(len(sounds))
        return [Heard(self.texts.pop(0)) for _ in sounds]


WORDS = st.lists(
    st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "near", "old", "red", "doors"]), min_size=1, max_size=9
)


@given(st.lists(st.tuples(WORDS, WORDS | st.just([])), min_size=1, max_size=8))
def test_wrong_words_are_those_of_jiwer(pairs: list[tuple[list[str], list[str]]]) -> None:
    metric = WordErrors.__new__(WordErrors)
    metric._clips = [clip(" ".join(wanted), 0.2) for wanted, _ in pairs]
    metric._language = "en"
    recogniser = Hears([" ".join(heard) for _, heard in pairs])
    metric._recogniser = recogniser
    judged = metric.judge([take(text, seconds=0.2) for text in range(len(pairs))])
    rate = sum(one.part for one in judged if one) / sum(one.whole for one in judged if one)
    texts, others = ([" ".join(words) for words in side] for side in zip(*pairs, strict=True))
    assert rate == pytest.approx(jiwer.wer(texts, others))
    assert max(recogniser.asked) <= recogniser.batch


def test_the_recogniser_s_own_errors_stand_beside(
    toy: Callable[..., Recipe], nothing_installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Hears(["red door", "", "old", "cats", "red door", "old mat"])
    monkeypatch.setenv("VTUNE_WHISPER", "a.pt")
    monkeypatch.setattr("vtune.evaluate.words.open_recogniser", lambda settings: heard)
    clips = [clip("red door"), clip("old mat")]
    takes = [take(0), take(0, untuned=True), take(1), take(1, untuned=True)]
    scores = score(takes, clips, toy())
    found = by_name(scores)["words"]
    assert scores.heard == ["red door", "", "old", "cats"]
    assert (found.tuned, found.base, found.recordings) == (1 / 4, 4 / 4, 0.0)
    assert "wrong words 25.0 %, the base's 100.0 %, the recordings' own 0.0 %" in found.describe()


def test_likeness_is_to_the_recordings(toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    """With an encoder that hears nothing but the share of power above 2 kHz."""

    class Encoder:
        def embed(self, waveform: np.ndarray, sample_rate: int) -> np.ndarray:
            power = np.abs(np.fft.rfft(waveform)) ** 2
            high = power[len(power) // 2 :].sum() / power.sum()
            return np.array([np.cos(high * np.pi / 2), np.sin(high * np.pi / 2)])

    monkeypatch.setattr("vtune.evaluate.likeness.SpeakerEncoder", Encoder)
    times = np.arange(3 * RATE) / RATE
    low, high = (np.sin(2 * np.pi * hz * times).astype(np.float32) for hz in (300, 3_000))
    clips = [Clip("c", "someone", "words", low, RATE) for _ in range(3)]
    alike, other = (
        Take(0, 0, side, sound, RATE, Ending.END_TOKEN, 0.1) for side, sound in ((False, low), (True, high))
    )
    short = Take(1, 0, False, low[: RATE // 2], RATE, Ending.END_TOKEN, 0.1)
    found = by_name(score([alike, other, short], clips, toy()))["likeness"]
    assert found.tuned == pytest.approx(1.0, abs=1e-3)
    assert found.base == pytest.approx(0.0, abs=1e-2)
    assert found.recordings == pytest.approx(1.0, abs=1e-3)
    assert found.each[2] is None


def test_too_few_recordings_are_no_measure_of_likeness(monkeypatch: pytest.MonkeyPatch) -> None:
    from vtune.evaluate.likeness import Likeness

    monkeypatch.setattr("vtune.evaluate.likeness.SpeakerEncoder", lambda: None)
    with pytest.raises(VtuneError, match=r"two held-out recordings of 2 s or more, and has 1"):
        Likeness([clip("a"), clip("b", 1.0)])
