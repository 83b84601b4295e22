"""Word errors with a recogniser whose answers are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jiwer
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vtune.errors import VtuneError
from vtune.evaluation import MetricValues, TestSet, Utterance
from vtune.evaluation.metrics.word_errors import WordErrors
from vtune.ingest.transcribe import Transcript
from vtune.recipe import Recipe


class Hears:
    """A recogniser whose answers are given."""

    batch = 3

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = list(texts)
        self.asked: list[int] = []

    def transcribe(self, sounds: Sequence[np.ndarray]) -> list[Transcript]:
        self.asked.append(len(sounds))
        return [Transcript(self.texts.pop(0)) for _ in sounds]


@pytest.fixture
def judged(
    toy: Callable[..., Recipe], utterance: Callable[..., Utterance], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, MetricValues]]:
    """Measure pairs of a text and its recognised words."""
    recipe = toy(evaluate={"recogniser": "told"})

    def judge(pairs: Sequence[tuple[str, str]], trained: Sequence[str] = ()) -> dict[str, MetricValues]:
        recogniser = Hears([recognised for _, recognised in pairs])
        monkeypatch.setattr("vtune.evaluation.metrics.word_errors.open_recogniser", lambda settings: recogniser)
        words = WordErrors(TestSet([text for text, _ in pairs], [], trained), recipe)
        result = words.measure([utterance(text, seconds=0.2) for text, _ in pairs])
        assert result.notes["heard"] == [recognised for _, recognised in pairs]
        assert max(recogniser.asked) <= recogniser.batch
        return dict(result.values)

    return judge


def mean(shares: MetricValues) -> float:
    return sum(ratio.numerator for ratio in shares if ratio) / sum(ratio.denominator for ratio in shares if ratio)


WORDS = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "red", "doors"]), min_size=1, max_size=9)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(WORDS, WORDS | st.just([])), min_size=1, max_size=8))
def test_errors_are_those_of_jiwer(
    judged: Callable[..., dict[str, MetricValues]], pairs: list[tuple[list[str], list[str]]]
) -> None:
    texts, recognised = ([" ".join(words) for words in side] for side in zip(*pairs, strict=True))
    judged_values = judged(list(zip(texts, recognised, strict=True)))
    assert mean(judged_values["wer"]) == pytest.approx(jiwer.wer(texts, recognised))
    assert mean(judged_values["cer"]) == pytest.approx(jiwer.cer(texts, recognised))


def test_what_is_wrong_with_words_by_hand(judged: Callable[..., dict[str, MetricValues]]) -> None:
    judged_values = judged(
        [
            ("open the old door", "Open the old door."),
            ("open the old door", "open the door"),
            ("open the old door", "open the old old door"),
            ("open the old door", "shut every window now"),
            ("open the old door", ""),
            ("no no never", "no no never"),
        ]
    )
    assert [ratio and ratio.numerator for ratio in judged_values["wer"]] == [0, 1, 1, 4, 4, 0]
    assert [ratio and ratio.numerator for ratio in judged_values["deletions"]] == [0, 1, 0, 0, 4, 0]
    assert [ratio and ratio.numerator for ratio in judged_values["insertions"]] == [0, 0, 1, 0, 0, 0]
    assert [ratio and ratio.numerator for ratio in judged_values["failed_sentences"]] == [0, 0, 0, 1, 1, 0]
    assert [ratio and ratio.numerator for ratio in judged_values["repetitions"]] == [0, 0, 1, 0, 0, 0]


def test_a_stretch_that_is_said_again_counts_by_its_words(judged: Callable[..., dict[str, MetricValues]]) -> None:
    (judged_values,) = judged([("bring me the red bread", "bring me the bring me the bring me the red bread")])[
        "repetitions"
    ]
    assert judged_values is not None
    assert judged_values.numerator == 6


def test_a_sentence_of_the_training_is_recognised(judged: Callable[..., dict[str, MetricValues]]) -> None:
    trained = ["the old man eats bread", "she walks to the river"]
    judged_values = judged(
        [
            ("the old man drinks water", "the old man eats bread"),
            ("the old man drinks water", "the old man drinks wine"),
            ("the old man eats bread", "she walks to the river"),
        ],
        trained,
    )
    # The last asked for a trained sentence and got another: wrong, but what it asked for was trained too.
    assert [ratio and ratio.numerator for ratio in judged_values["memorised"]] == [1, 0, 0]


def test_without_trained_words_nobody_parrots(judged: Callable[..., dict[str, MetricValues]]) -> None:
    assert "memorised" not in judged([("a", "b")])


def test_without_a_recogniser_it_says_what_to_do(
    toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.delenv("VTUNE_WHISPER", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(VtuneError, match=r"evaluate.recogniser=tiny.en"):
        WordErrors(TestSet([], []), toy())
