"""Texts for bases that read characters: as they are written, in lower case, or in Latin letters (uroman)."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any

from vtune import EngineError
from vtune.toolkit.sentences import Sentence, is_letter_or_digit
from vtune_vits.text.words import words_of_groups

if TYPE_CHECKING:
    from vtune_vits.bases import BaseText

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=\S)|(?<=[。！？؟।])\s*(?=\S)|\n\s*\n")


def read_characters(text: str, base_text: BaseText) -> list[Sentence]:
    """Return the sentences of a text in the characters of a base.

    Signs that the base does not know are left out, as its tokenizer leaves them out. Unknown letters and digits stay,
    and ``encode_symbols`` names them. For a base of lower-case letters without a full stop,
    ``"It rains. Why?"`` becomes the sentences ``it rains`` and ``why``.

    :raises EngineError: the base reads Latin letters, the text has others, and uroman is not installed.
    """
    sentences = [_sentence(part, base_text) for part in _SENTENCE_END.split(text.strip())]
    return [sentence for sentence in sentences if any(map(is_letter_or_digit, sentence.symbols))]


def _sentence(text: str, base_text: BaseText) -> Sentence:
    symbols = _symbols(text, base_text)
    words = [word for word in text.split() if any(map(is_letter_or_digit, word))]
    groups = [group for group in symbols.split(" ") if group]
    return Sentence(symbols, tuple(words_of_groups(words, groups, lambda word: _symbols(word, base_text))))


def _symbols(text: str, base_text: BaseText) -> str:
    text = re.sub(r"\s", " ", text)
    if base_text.lowercase:
        text = text.lower()
        if base_text.language == "ron":  # its checkpoint has learned the letter with a cedilla
            text = text.replace("ț", "ţ")
    if base_text.kind == "uroman" and not text.isascii():
        text = _uroman().romanize_string(text)
        text = text.lower() if base_text.lowercase else text
    if base_text.decompose:
        text = unicodedata.normalize("NFD", text)
    kept = (character for character in text if character in base_text.symbols or is_letter_or_digit(character))
    return "".join(kept).strip()


@cache
def _uroman() -> Any:
    try:
        import uroman
    except ImportError as error:
        raise EngineError(
            "this base reads Latin letters, and the text has others: install vtune-tts with the extra 'vits', which "
            "brings uroman, or write the text in Latin letters"
        ) from error
    return uroman.Uroman()
