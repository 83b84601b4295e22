from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.toolkit import PAUSE_SECONDS, is_speakable
from vtune_orpheus.text_splitting import (
    CLAUSE_PAUSE_SECONDS,
    PARAGRAPH_PAUSE_SECONDS,
    SENTENCE_PAUSE_SECONDS,
    TextPiece,
    missing_pause,
    split_text,
)


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet=st.sampled_from("ab .,!?;\n\"'。，é"), max_size=300), st.integers(20, 80))
def test_nothing_is_lost_and_nothing_is_too_long(text: str, longest: int) -> None:
    pieces = split_text(text, longest)
    joined = "".join(piece.text for piece in pieces)
    assert list(filter(str.isalnum, joined)) == list(filter(str.isalnum, text))
    assert all(is_speakable(piece.text) for piece in pieces)
    assert all(0 < len(piece.text) <= longest for piece in pieces)
    assert not pieces or pieces[-1].pause == 0


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text("abé", min_size=1), max_size=40), st.sampled_from([" ", ". ", ", ", "\n\n", "! "]))
def test_no_mark_between_words_is_lost(words: list[str], between: str) -> None:
    joined = "".join(piece.text for piece in split_text(between.join(words), 300))
    assert "".join(joined.split()) == "".join(between.join(words).split())


def test_what_cannot_be_read_out_is_a_pause() -> None:
    long = "A sentence that is a good deal longer than half of what may be."
    for middle in ("* * *", "...", "\u200b", "\N{GRINNING FACE}"):
        assert split_text(f"{long}\n\n{middle}\n\nAnd on.", 70) == [
            TextPiece(long, PAUSE_SECONDS),
            TextPiece("And on.", 0.0),
        ]
    assert split_text(f"{long} ... {long}", 66) == [TextPiece(long, PAUSE_SECONDS), TextPiece(long, 0.0)]
    assert split_text("***\n\nOne.\n\n***", 70) == [TextPiece("One.", 0.0)]
    assert split_text("* * *", 70) == []


def test_sentences_stay_whole_and_keep_their_marks() -> None:
    first = "The first sentence is quite long, for a sentence of this kind."
    second = "And is the second one any shorter than that?"
    assert [piece.text for piece in split_text(f"{first} {second}", 70)] == [first, second]


def test_short_sentences_are_read_together() -> None:
    assert [piece.text for piece in split_text("Yes. No. Maybe.", 80)] == ["Yes. No. Maybe."]


def test_abbreviations_end_no_sentence() -> None:
    text = "Please ask Dr. Miller, or else J. Smith, about the long and complicated letter."
    assert [piece.text for piece in split_text(text, 90)] == [text]


def test_chinese_sentences_are_found_without_blanks() -> None:
    assert [p.text for p in split_text("今天天气很好我们去公园散步吧。明天也许会下雨所以带上你的伞。", 20)] == [
        "今天天气很好我们去公园散步吧。",
        "明天也许会下雨所以带上你的伞。",
    ]


def test_pauses_follow_the_marks() -> None:
    text = (
        "A sentence that is long enough to stand alone here, with a clause that makes it longer still. "
        "A second one follows it.\n\nA new paragraph."
    )
    pauses = [piece.pause for piece in split_text(text, 60)]
    assert pauses == [CLAUSE_PAUSE_SECONDS, SENTENCE_PAUSE_SECONDS, PARAGRAPH_PAUSE_SECONDS, 0.0]


@pytest.mark.parametrize(("quiet", "added"), [(0, 8400), (4000, 4400), (9000, 0)])
def test_a_pause_that_is_spoken_already_is_not_added(quiet: int, added: int) -> None:
    tail = np.concatenate([np.full(3000, 0.5), np.full(quiet, 0.001)]).astype(np.float32)
    assert len(missing_pause(tail, 24_000, 0.35)) == added


def test_a_book_without_a_blank_is_cut_too() -> None:
    pieces = split_text("a" * 1_000_000, 220)
    assert sum(len(piece.text) for piece in pieces) == 1_000_000
