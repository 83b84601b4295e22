"""Readings in a text: ``<word|reading>`` fixes how a word is spoken, in pinyin, CMU phones or kana."""

from __future__ import annotations

import re
from string import ascii_lowercase

ANNOTATION = re.compile(r"<([^<>|]+)\|([^<>|]+)>")
SPECIAL = re.compile(r"<\|([^<>|]+)\|>")
PROTECTED = re.compile(r"<\|SPECIAL_TOKEN_\d+\|>.*?<\|SPECIAL_TOKEN_\d+\|>", re.DOTALL)
"""A pair of special tokens with the reading between them, which no segment and no word may cut."""

PLACEHOLDER = "PRONPLACEHOLDER"
"""Letters around the letters of an annotation's number, which no normaliser changes."""

KANA_OPEN, KANA_CLOSE = "\ue000", "\ue001"
"""Private characters around a reading in kana, until the words of a Japanese text are divided."""

_CHINESE = re.compile("[\u4e00-\u9fff]")
_HIRAGANA = re.compile("[\u3041-\u309f\u30fc]+")
_KATAKANA = re.compile("[\u30a0-\u30ff]+")
_HIDDEN = re.compile(f"{PLACEHOLDER}([a-z]+){PLACEHOLDER}")


def hide_annotations(text: str) -> tuple[str, list[str]]:
    """Replace each annotation by a placeholder of letters; return the text and the annotations in their order."""
    hidden: list[str] = []

    def placeholder(match: re.Match[str]) -> str:
        hidden.append(match.group())
        return f"{PLACEHOLDER}{_letters(len(hidden) - 1)}{PLACEHOLDER}"

    return ANNOTATION.sub(placeholder, text), hidden


def show_annotations(text: str, hidden: list[str]) -> str:
    """Put back what ``hide_annotations`` replaced."""
    names = {_letters(index): annotation for index, annotation in enumerate(hidden)}
    return _HIDDEN.sub(lambda match: names.get(match[1], match[0]), text)


def write_readings(text: str, *, mark_kana: bool = False) -> str:
    """Replace each annotation by its reading in capitals.

    A reading in kana stands between blanks. Any other reading stands between two special tokens: number 2 if the word
    has a Chinese character (pinyin), otherwise number 1 (phones). ``<行|hang2>`` becomes
    ``<|SPECIAL_TOKEN_2|>HANG2<|SPECIAL_TOKEN_2|>``.

    :param mark_kana: put private characters around readings in kana, for ``split_words``.
    """

    def reading(match: re.Match[str]) -> str:
        word, spoken = match[1], match[2].upper()
        if _HIRAGANA.fullmatch(spoken) or _KATAKANA.fullmatch(spoken):
            return f" {KANA_OPEN}{spoken}{KANA_CLOSE} " if mark_kana else f" {spoken} "
        token = f"<|SPECIAL_TOKEN_{2 if _CHINESE.search(word) else 1}|>"
        return f"{token}{spoken}{token}"

    return ANNOTATION.sub(reading, text)


def raise_special_tokens(text: str) -> str:
    """Write the names of special tokens in capitals, as the vocabulary has them."""
    return SPECIAL.sub(lambda match: match.group().upper(), text)


def _letters(index: int) -> str:
    """Count a ... z, aa, ab ..."""
    more, last = divmod(index, len(ascii_lowercase))
    return (_letters(more - 1) if more else "") + ascii_lowercase[last]
