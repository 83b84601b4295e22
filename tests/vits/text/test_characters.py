"""Texts in characters: as the tokenizer of transformers reads them, and with unknown letters named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import VitsTokenizer

from vtune import EngineError, SkipClip
from vtune.toolkit.sentences import read_sentences
from vtune_vits.bases import BaseText
from vtune_vits.text.frontend import prepare
from vtune_vits.text.symbols import encode_symbols

VOCABULARY = {symbol: number for number, symbol in enumerate(["_", *" abcdefghijklmnopqrstuvwxyz'-ăţ"])}


def mms_text(*, blanks: bool = True, language: str = "eng") -> BaseText:
    """Return what a base of transformers reads."""
    symbols = {symbol: (number,) for symbol, number in VOCABULARY.items()}
    return BaseText("characters", symbols, language, blank=(0,) if blanks else None, blank_first=blanks, lowercase=True)


@pytest.mark.parametrize("blanks", [True, False])
@pytest.mark.parametrize(
    ("language", "text"),
    [("eng", "Hello - it's ME, (again)"), ("eng", 'A "quoted" word; twice'), ("ron", "Bună, ţară și Ț")],
)
def test_ids_are_those_of_the_tokenizer(tmp_path: Path, blanks: bool, language: str, text: str) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps(VOCABULARY), encoding="utf-8")
    tokenizer = VitsTokenizer(
        str(path), pad_token="_", unk_token="_", language=language, add_blank=blanks, phonemize=False
    )
    text = text.replace("ș", "s")
    base_text = mms_text(blanks=blanks, language=language)

    (sentence,) = read_sentences(prepare(text, base_text, None, {}))

    assert encode_symbols(sentence.symbols, base_text).ids == tokenizer(text).input_ids


def test_sentences_are_divided_and_words_are_named_as_written() -> None:
    sentences = read_sentences(prepare("It RAINS, now. Why?\n\nNobody knows", mms_text(), None, {}))

    assert [sentence.symbols for sentence in sentences] == ["it rains now", "why", "nobody knows"]
    assert [sentence.words for sentence in sentences] == [("It", "RAINS,", "now."), ("Why?",), ("Nobody", "knows")]


def test_digits_and_letters_of_another_script_are_named() -> None:
    symbols = read_sentences(prepare("I have 3 кот", mms_text(), None, {}))[0].symbols

    with pytest.raises(SkipClip, match=r"'3' \(U\+0033\) in '3'.*'к' \(U\+043A\) in 'кот'.*as words"):
        encode_symbols(symbols, mms_text())


def test_a_lexicon_respells_but_has_no_phonemes() -> None:
    assert read_sentences(prepare("Ask NVDA.", mms_text(), None, {"nvda": "en vee dee ay"}))[0].symbols == (
        "ask en vee dee ay"
    )
    with pytest.raises(EngineError, match=r"'NVDA' has phonemes, but this base reads characters"):
        prepare("Ask NVDA.", mms_text(), None, {"nvda": "/ˌɛnvˌiːdˌiːˈeɪ/"})


def test_a_base_of_characters_takes_no_language() -> None:
    with pytest.raises(EngineError, match=r"engine_options\.language is 'de', but this base reads characters"):
        prepare("Hallo", mms_text(), "de", {})
