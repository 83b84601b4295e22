from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from vtune.evaluate import System, speak_all, speak_trained
from vtune.types import Audio, Ending


def speaker(*endings: Ending | None) -> System:
    def say(text: str, seed: int) -> Iterator[Audio]:
        for place, ending in enumerate(endings):
            yield Audio(np.full(len(text), seed + place, np.float32), 8_000, ending)

    return System("someone", say)


def test_pieces_are_one_take() -> None:
    (take,) = speak_all([speaker(None, Ending.END_TOKEN)], ["abc"], [5])
    assert take.waveform.tolist() == [5, 5, 5, 6, 6, 6]
    assert (take.text, take.seed, take.system, take.ending) == ("abc", 5, "someone", Ending.END_TOKEN)
    assert take.first is not None
    assert take.took is not None
    assert 0 < take.first <= take.took


def test_everybody_speaks_every_text_with_every_seed() -> None:
    one, other = speaker(Ending.END_TOKEN), System("other", speaker(Ending.END_TOKEN).say)
    takes = speak_all([one, other], ["a", "b"], [0, 1])
    assert [(take.text, take.seed, take.system) for take in takes] == [
        (text, seed, name) for text in "ab" for seed in (0, 1) for name in ("someone", "other")
    ]


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
    (take,) = speak_all([speaker(*endings)], ["a"], [0])
    assert take.ending == worst


def test_trained_words_are_spread_and_told_apart() -> None:
    takes = speak_trained(speaker(Ending.END_TOKEN), [f"{number}" for number in range(10)], 3, 2)
    assert [take.text for take in takes] == ["0", "3", "6"]
    assert {(take.system, take.seed) for take in takes} == {("someone on trained words", 2)}
    assert speak_trained(speaker(Ending.END_TOKEN), [], 3, 2) == []
