"""Every speaker gets a name that can be the name of a folder, and no two speakers get the same name."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from vtune.dataset.features.voice_names import MAX_READABLE_CHARACTERS, voice_names
from vtune.recipe.field_types import VOICE_NAME

NAMES = st.text(min_size=1, max_size=80) | st.sampled_from(["Ann", "ann", "ANN", "a b", "a_b", "a/b", "ü", "ab" * 40])


@given(st.lists(NAMES, unique=True, max_size=30))
def test_names_are_valid_and_distinct(speakers: list[str]) -> None:
    names = voice_names(speakers)
    assert list(names) == speakers
    assert all(re.match(VOICE_NAME, name) for name in names.values())
    assert len({name.casefold() for name in names.values()}) == len(speakers)  # macOS and Windows mix up a and A


@given(st.lists(NAMES, unique_by=str.casefold, max_size=30))
def test_a_short_plain_name_is_kept(speakers: list[str]) -> None:
    names = voice_names(speakers)
    plain = [name for name in speakers if re.match(VOICE_NAME, name) and len(name) <= MAX_READABLE_CHARACTERS]
    assert [names[name] for name in plain] == plain


@given(st.lists(NAMES, unique=True, min_size=1, max_size=10))
def test_the_order_of_the_rows_does_not_matter(speakers: list[str]) -> None:
    assert voice_names(reversed(speakers)) == dict(reversed(voice_names(speakers).items()))
