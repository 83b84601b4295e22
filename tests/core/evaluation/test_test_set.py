from __future__ import annotations

from collections.abc import Callable

from vtune.evaluation import TestSet, once_each
from vtune.types import Clip


def test_recordings_are_found_by_their_words(clip: Callable[..., Clip]) -> None:
    first, second, again = clip("one"), clip("two"), clip("one", seed=1)
    material = TestSet(["two", "three", "one"], [first, second, again])
    assert material.recordings == {"two": second, "one": first}
    assert material.clips == [first, second]


def test_words_come_once() -> None:
    assert once_each(["a ", "", "b", "a", " \n"]) == ["a", "b"]
