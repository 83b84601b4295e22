"""Speaker similarity with an encoder that measures only the share of power above 4 kHz."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vtune.errors import VtuneError
from vtune.evaluation import RECORDING, TestSet, Utterance
from vtune.evaluation.metrics.speaker_similarity import SpeakerSimilarity
from vtune.recipe import Recipe
from vtune.types import Clip

RATE = 16_000


class Encoder:
    def embed(self, waveform: np.ndarray, sample_rate: int) -> np.ndarray:
        power = np.abs(np.fft.rfft(waveform)) ** 2
        high = power[len(power) // 2 :].sum() / power.sum()
        return np.array([np.cos(high * np.pi / 2), np.sin(high * np.pi / 2)])


def tone(hertz: float, seconds: float = 3.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


@pytest.fixture
def clips(clip: Callable[..., Clip], monkeypatch: pytest.MonkeyPatch) -> list[Clip]:
    monkeypatch.setattr("vtune.evaluation.metrics.speaker_similarity.SpeakerEncoder", Encoder)
    return [clip(text, sound=tone(300)) for text in ("one", "two", "three")]


def test_likeness_is_to_the_recordings(
    toy: Callable[..., Recipe], clips: list[Clip], utterance: Callable[..., Utterance]
) -> None:
    utterances = [
        utterance("one", sound=tone(500)),
        utterance("one", "base", sound=tone(6_000)),
        utterance("two", sound=tone(300, 0.5)),
        utterance("two", sound=np.zeros(3 * RATE, np.float32)),
        utterance("one", RECORDING, sound=clips[0].waveform),
    ]
    result = SpeakerSimilarity(TestSet(["one"], clips), toy()).measure(utterances).values
    values = [ratio and round(ratio.numerator, 2) for ratio in result["speaker_similarity"]]
    assert values == [1.0, 0.0, None, None, 1.0]
    assert [ratio and ratio.numerator for ratio in result["same_speaker"]] == [1, 0, None, None, 1]


def test_a_recording_is_left_out_of_the_centre_it_is_compared_with(
    toy: Callable[..., Recipe], clips: list[Clip], clip: Callable[..., Clip], utterance: Callable[..., Utterance]
) -> None:
    odd = clip("odd", sound=tone(6_000))
    result = (
        SpeakerSimilarity(TestSet([], [*clips[:2], odd]), toy())
        .measure([utterance("odd", RECORDING)])
        .values["speaker_similarity"]
    )
    assert result[0] is not None
    assert result[0].numerator == pytest.approx(0.0, abs=0.01)


def test_strangers_show_how_near_anybody_comes(
    toy: Callable[..., Recipe], clips: list[Clip], clip: Callable[..., Clip]
) -> None:
    others = [clip("x", sound=tone(6_000)), clip("y", sound=tone(300)), clip("z", 0.5)]
    anchors = SpeakerSimilarity(TestSet([], clips, impostors=others), toy()).measure([]).anchors
    assert anchors["speaker_similarity"]["impostors"] == pytest.approx(0.5, abs=0.02)


def test_too_few_recordings_are_no_measure(toy: Callable[..., Recipe], clip: Callable[..., Clip]) -> None:
    with pytest.raises(VtuneError, match=r"two held-out recordings of at least 2 s and has 1; name longer ones under"):
        SpeakerSimilarity(TestSet([], [clip("a"), clip("b", 1.0)]), toy())
    with pytest.raises(VtuneError, match=r"has 0; raise evaluate\.clips"):
        SpeakerSimilarity(TestSet([], []), toy(evaluate={"clips": 0}))
