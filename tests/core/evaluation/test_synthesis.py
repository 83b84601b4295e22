from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from vtune.evaluation import System, synthesize_all, synthesize_train_sentences
from vtune.types import Audio, Ending


def speaker(*endings: Ending | None) -> System:
    def say(text: str, seed: int) -> Iterator[Audio]:
        for index, ending in enumerate(endings):
            yield Audio(np.full(len(text), seed + index, np.float32), 8_000, ending)

    return System("someone", say)


def test_pieces_are_one_take() -> None:
    (utterance,) = synthesize_all([speaker(None, Ending.END_TOKEN)], ["abc"], [5])
    assert utterance.waveform.tolist() == [5, 5, 5, 6, 6, 6]
    assert (utterance.text, utterance.seed, utterance.system, utterance.ending) == (
        "abc",
        5,
        "someone",
        Ending.END_TOKEN,
    )
    assert utterance.first is not None
    assert utterance.took is not None
    assert 0 < utterance.first <= utterance.took


def test_everybody_speaks_every_text_with_every_seed() -> None:
    first, other = speaker(Ending.END_TOKEN), System("other", speaker(Ending.END_TOKEN).say)
    utterances = synthesize_all([first, other], ["a", "b"], [0, 1])
    assert [(utterance.text, utterance.seed, utterance.system) for utterance in utterances] == [
        (text, seed, name) for text in "ab" for seed in (0, 1) for name in ("someone", "other")
    ]


def choir(name: str, asked: list[list[tuple[str, int]]]) -> System:
    """Return a speaker that speaks the texts in one batch and yields the last text first."""
    alone = speaker(Ending.END_TOKEN)

    def together(lines: Sequence[tuple[str, int]]) -> Iterator[tuple[int, Sequence[Audio]]]:
        asked.append(list(lines))
        for index in reversed(range(len(lines))):
            yield index, list(alone.say(*lines[index]))

    return System(name, alone.say, together)


def test_the_first_text_is_timed_and_the_others_are_spoken_together() -> None:
    asked: list[list[tuple[str, int]]] = []
    texts, seeds = ["a", "bb", "ccc"], [0, 1]
    utterances = synthesize_all([choir("one", asked), choir("other", asked)], texts, seeds)
    assert asked == [[("bb", 0), ("bb", 1), ("ccc", 0), ("ccc", 1)]] * 2
    expected = synthesize_all([System(name, speaker(Ending.END_TOKEN).say) for name in ("one", "other")], texts, seeds)
    for utterance, other in zip(utterances, expected, strict=True):
        assert (utterance.text, utterance.seed, utterance.system, utterance.ending) == (
            other.text,
            other.seed,
            other.system,
            other.ending,
        )
        assert utterance.waveform.tolist() == other.waveform.tolist()
        assert (utterance.took is None, utterance.first is None) == (utterance.text != "a",) * 2
    assert synthesize_train_sentences(choir("one", asked), ["a", "b"], 2, 0)[1].system == "one on training sentences"
    assert asked[2:] == [[("b", 0)]]


def test_nothing_is_spoken_together_where_one_cannot() -> None:
    asked: list[list[tuple[str, int]]] = []
    utterances = synthesize_all([choir("one", asked), speaker(Ending.END_TOKEN)], ["a", "b"], [0])
    assert not asked
    assert all(utterance.took for utterance in utterances)


@pytest.mark.parametrize(
    ("endings", "worst"),
    [
        ((Ending.RUNAWAY, Ending.END_TOKEN), Ending.RUNAWAY),
        ((Ending.END_TOKEN, None, Ending.LIMIT), Ending.LIMIT),
        ((Ending.END_TOKEN, Ending.END_TOKEN), Ending.END_TOKEN),
        ((None,), None),
    ],
)
def test_the_worst_utterance_counts(endings: tuple[Ending | None, ...], worst: Ending | None) -> None:
    (utterance,) = synthesize_all([speaker(*endings)], ["a"], [0])
    assert utterance.ending == worst


def test_trained_words_are_spread_and_told_apart() -> None:
    utterances = synthesize_train_sentences(speaker(Ending.END_TOKEN), [f"{number}" for number in range(10)], 3, 2)
    assert [utterance.text for utterance in utterances] == ["0", "3", "6"]
    assert {(utterance.system, utterance.seed) for utterance in utterances} == {("someone on training sentences", 2)}
    assert synthesize_train_sentences(speaker(Ending.END_TOKEN), [], 3, 2) == []
