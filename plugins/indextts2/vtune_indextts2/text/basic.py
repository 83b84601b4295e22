"""Write numbers in words with the built-in text engine: no dependency, no exception, linear time."""

from __future__ import annotations

import unicodedata

from vtune_indextts2.text.chinese import read_out as read_chinese
from vtune_indextts2.text.english import read_out as read_english
from vtune_indextts2.text.language import Language


class BasicEngine:
    """Rules for English and Chinese that leave no digit in a text."""

    name = "basic"
    version = "1"  # counts up with every change of its results

    @property
    def identity(self) -> str:
        return f"{self.name} {self.version}"

    def normalise(self, text: str, language: Language) -> str:
        """Return the text with numbers, dates, units and common abbreviations as words, and single blanks."""
        text = " ".join(plain_digits(text).split())
        return read_english(text) if language == "en" else read_chinese(text)


def plain_digits(text: str) -> str:
    """Write decimal digits of every script, full-width ones included, as 0 to 9."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in text)
