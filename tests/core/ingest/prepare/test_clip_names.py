from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtune.ingest.prepare.clip_names import clip_name, free_stem, safe_stem


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("interview", "interview"), ("My talk (final) #2", "My_talk_final_2"), ("-rf", "rf"), ("..", "recording"),
        ("../../etc/passwd", "etc_passwd"), ("a\nb", "a_b"), ("\udce9t\udce9", "t"), ("", "recording"),
        ("Ge\u0301rard", "Gérard"), ("東京 1", "東京_1"), (".hidden", "hidden"), ("a..b", "a.b"), ("CON", "CON"),
    ],
)  # fmt: skip
def test_stems(name: str, stem: str) -> None:
    assert safe_stem(name) == stem


@given(st.text(st.characters(), max_size=300))
def test_any_name_becomes_one_that_every_file_system_takes(name: str) -> None:
    stem = safe_stem(name)
    file = clip_name(stem, 0)
    assert len(file.encode()) <= 255
    assert re.match(r"^[^\W_]", stem)
    assert not set(file) & set('/\\:*?"<>|\0\n\r\t ')
    assert ".." not in file
    assert safe_stem(stem) == stem


@given(st.lists(st.sampled_from(["a", "A", "a ", "b", "-a", "a/a"]), max_size=12))
def test_no_two_recordings_get_one_name(names: list[str]) -> None:
    taken: set[str] = set()
    for number, name in enumerate(names):
        stem = free_stem(name, f"{number:064x}"[::-1], taken)
        assert stem.casefold() not in taken
        taken.add(stem.casefold())


def test_clips_of_different_stems_have_different_names() -> None:
    """A recording with the name of another recording's clip does not clash with that clip."""
    assert clip_name("a", 1) == "a_001.wav"
    assert clip_name("a_001", 0) == "a_001_000.wav"
    assert clip_name("a", 1234) == "a_1234.wav"
