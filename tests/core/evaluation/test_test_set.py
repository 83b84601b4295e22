from __future__ import annotations

from collections.abc import Callable

from vtune.evaluation import TestSet, unique_texts
from vtune.types import Clip


def test_recordings_are_found_by_their_words(clip: Callable[..., Clip]) -> None:
    first, second, again = clip("one"), clip("two"), clip("one", seed=1)
    test_set = TestSet(["two", "three", "one"], [first, second, again])
    assert test_set.recordings == {"two": second, "one": first}
    assert test_set.clips == [first, second]


def test_words_come_once() -> None:
    assert unique_texts(["a ", "", "b", "a", " \n"]) == ["a", "b"]
