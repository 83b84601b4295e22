"""Choose which of the engine's two languages a text is read in."""

from __future__ import annotations

import re
from typing import Literal

from vtune_indextts2.text.pinyin import SYLLABLE

Language = Literal["en", "zh"]

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_LATIN = re.compile(r"[a-zA-Z]")
_EMAIL = re.compile(r"[a-zA-Z0-9]+@[a-zA-Z0-9]+\.[a-zA-Z]+")


def language_of(text: str) -> Language:
    """Return ``zh`` for a text with a Chinese character, without a Latin letter, that is nothing but an e-mail
    address, or has a pinyin syllable with a tone; else ``en``.
    """
    if _CHINESE.search(text) or not _LATIN.search(text) or _EMAIL.fullmatch(text) or SYLLABLE.search(text):
        return "zh"
    return "en"
