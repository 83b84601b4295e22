"""Texts that are not spoken words, and texts that hold more than spoken words, are distinguished from words."""

from __future__ import annotations

import time

import pytest

from vtune.dataset.sources.plain_text import unfit_words

NO_WORDS = {
    "": "no words",
    "...": "neither letters nor digits",
    "—": "neither letters nor digits",
    "\U0001f600 \U0001f44d\U0001f3fd": "neither letters nor digits",
    "\u200b\u200b": "neither letters nor digits",
    "[music] (laughs)": "only describes sounds",
    "[MUSIC PLAYING]": "only describes sounds",
    "*coughs loudly*": "only describes sounds",
    "♪ la la la ♪": "only describes sounds",
    "<i>Hello</i>": "markup, '<i>'",
    "<p class='x'>Hello": "markup, \"<p class='x'>\"",
    "<unknown a='1'>Hello": "markup",
    "<speak>Hello <break time='1s'/></speak>": "markup, '<speak>'",
    "<v Nora>Hello": "markup, '<v Nora>'",
    "so <00:00:01.500>it goes": "markup, '<00:00:01.500>'",
    r"{\an8}Hello": "markup",
    "Tom &amp; Jerry": "markup, '&amp;'",
    "[00:12] Hello": "markup, '[00:12]'",
    "he said [inaudible 00:12] then": "words are missing where the text says '[inaudible 00:12]'",
    "he said (unintelligible)": "words are missing",
    "the <unk> of": "words are missing",
}


@pytest.mark.parametrize("text", NO_WORDS)
def test_what_is_no_text_has_a_reason(text: str) -> None:
    assert NO_WORDS[text] in (unfit_words(text) or "")


WORDS = [
    "Hello there.",
    "OK",
    "7",
    "(He paused, and looked at the door.)",
    "(He paused.)",
    "[laughs] Hello there.",
    "Hello <laugh> there.",  # a tag that an engine knows
    "<laugh>",
    "a < b and c > d",
    "AT&T; that is all",
    "at (10:30) we left",
    "你好。",
    "नमस्ते",
    "สวัสดี",
    "#1",
]


@pytest.mark.parametrize("text", WORDS)
def test_words_are_words(text: str) -> None:
    assert unfit_words(text) is None


@pytest.mark.parametrize("piece", ["(", "(a ", "<a ", "<a x", "[unk ", "[0:", "*a", "{\\", "♪", "&", "<a x=", "[a"])
def test_a_long_text_takes_no_long_time(piece: str) -> None:
    started = time.process_time()
    unfit_words(piece * 20_000 + "a")
    assert time.process_time() - started < 2  # a pattern that tries all ways would take hours
