"""Texts become sentences of phonemes: those of the package, with the words of a lexicon and the written words."""

from __future__ import annotations

import sys

import pytest

from vtune import EngineError, SkipClip
from vtune.toolkit.sentences import Sentence, read_sentences
from vtune_hibari.text import reader
from vtune_hibari.text.frontend import prepare, words_of_groups

hibari = pytest.importorskip("hibari")

TEXTS = (
    "Dr. Smith said 23 things, didn't he?",
    "Meet me at 9:30am on Friday; it costs $3.20 — or 5km. Really? Yes!",
    "The U.S.A. (1999) and a “quoted” well-known co-op.",
    "A paragraph.\n\nAnd another one",
)


@pytest.fixture(scope="module")
def package() -> object:
    return hibari.Hibari


@pytest.mark.parametrize("text", TEXTS)
def test_phonemes_are_those_of_the_package(text: str) -> None:
    expected = [reader._reader("american")(sentence) for sentence in hibari.Hibari.split_sentences(text)]
    assert [sentence.symbols for sentence in read_sentences(prepare(text, "american", {}))] == expected


def test_each_group_has_its_written_word() -> None:
    (sentence,) = read_sentences(prepare("Call me at 9:30am on Jan. 5th or 23 days after.", "american", {}))[:1]
    pairs = dict(zip(sentence.symbols.split(), sentence.words, strict=True))
    assert pairs["kˈɔl"] == "Call"
    assert pairs["nˈIn"] == "9:30am"
    assert pairs["θˈɜɹTi"] == ""
    (sentence,) = read_sentences(prepare("In 23 days.", "american", {}))
    assert sentence.words == ("In", "23", "", "days.")


def test_words_of_groups_that_became_more_fewer_or_others() -> None:
    assert words_of_groups(["on", "Jan.", "5th"], ["on", "January", "fifth"]) == ["on", "Jan.", "5th"]
    assert words_of_groups(["at", "9:30am."], ["at", "nine", "thirty", "A.M."]) == ["at", "9:30am.", "", ""]
    assert words_of_groups(["a", "b", "c", "d"], ["a", "bc", "d"]) == ["a", "b c", "d"]
    assert words_of_groups(["a", "☺", "b"], ["a", "b"]) == ["a ☺", "b"]
    assert words_of_groups(["a"], ["a", "b"]) == ["a", ""]
    assert words_of_groups([], []) == []


def test_a_lexicon_respells_words_or_gives_their_phonemes() -> None:
    lexicon = {"Piper": "/pˈIpəɹ/", "Kathleen": "kath leen"}
    (sentence,) = read_sentences(prepare("Ask piper, Kathleen.", "american", lexicon))
    assert "pˈIpəɹ" in sentence.symbols
    assert sentence.words[1] == "piper,"
    (respelled,) = read_sentences(prepare("Ask piper, kath leen.", "american", {"piper": "/pˈIpəɹ/"}))
    assert sentence.symbols == respelled.symbols
    (usual,) = read_sentences(prepare("Ask piper, Kathleen.", "american", {}))
    assert usual.symbols != sentence.symbols


def test_the_accent_changes_the_phonemes() -> None:
    american, british = (prepare("Oh, the water there is bad.", accent, {}) for accent in ("american", "british"))
    assert american != british


def test_words_in_letters_that_nobody_reads_are_named() -> None:
    with pytest.raises(SkipClip, match=r"the words 日本 cannot be read; write them in other letters"):
        prepare("Hello 日本", "american", {})
    assert read_sentences(prepare("Hello ☺.", "american", {}))[0].symbols.startswith("həlˈO")


@pytest.mark.parametrize("text", ["...", "☺", " * * * "])
def test_a_text_without_words_cannot_be_spoken(text: str) -> None:
    with pytest.raises(SkipClip, match="nothing of the text"):
        prepare(text, "american", {})


def test_a_missing_package_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    reader._package.cache_clear()
    monkeypatch.setitem(sys.modules, "hibari", None)
    try:
        with pytest.raises(EngineError, match=r"read by the package hibari-tts: install .*'vtune-tts\[hibari\]'"):
            prepare("Hello.", "american", {})
    finally:
        monkeypatch.undo()
        reader._package.cache_clear()


def test_prepared_text_is_sentences() -> None:
    assert read_sentences(prepare("Hello there.", "american", {})) == [Sentence("həlˈO ðˈɛɹ.", ("Hello", "there."))]
