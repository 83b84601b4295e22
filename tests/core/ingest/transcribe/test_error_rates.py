"""Edit distances equal those of the textbook's recursion; normalisation makes equal texts equal."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtune.ingest.transcribe.error_rates import edit_distance, normalise


def textbook(first: str, second: str) -> int:
    @cache
    def apart(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        same = first[i - 1] == second[j - 1]
        return min(apart(i - 1, j) + 1, apart(i, j - 1) + 1, apart(i - 1, j - 1) + (not same))

    return apart(len(first), len(second))


@given(st.text("abc", max_size=12), st.text("abcd", max_size=12))
def test_distance_is_the_textbooks(first: str, second: str) -> None:
    assert edit_distance(first, second) == textbook(first, second) == edit_distance(list(second), list(first))


@pytest.mark.parametrize(
    ("first", "second", "language"),
    [
        ("Mr. Smith isn't 20, he said.", "mister smith is not twenty he said", "en"),
        ("  Grüße,  Käthe! ", "grüße käthe", "de"),
        ("今天 天气", "今天天气。", "zh"),
    ],
)
def test_what_sounds_the_same_is_made_the_same(first: str, second: str, language: str) -> None:
    assert normalise(first, language) == normalise(second, language)


def test_nothing_is_left_of_signs_alone() -> None:
    assert normalise("¿...?!", "es") == ""
