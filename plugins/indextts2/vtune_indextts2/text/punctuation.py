"""Replace punctuation marks by those that the tokenizer knows."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vtune_indextts2.text.language import Language

# The order decides where two entries begin alike: three wide commas become three commas.
MARKS: tuple[tuple[str, str], ...] = (
    ("：", ","),
    ("；", ","),
    (";", ","),
    ("，", ","),
    ("。", "."),
    ("！", "!"),
    ("？", "?"),
    ("\n", " "),
    ("·", "-"),
    ("、", ","),
    ("...", "…"),
    (",,,", "…"),
    ("，，，", "…"),
    ("……", "…"),
    *((mark, "'") for mark in '“”"‘’（）()《》【】[]'),
    ("—", "-"),
    ("～", "-"),
    ("~", "-"),
    ("「", "'"),
    ("」", "'"),
    (":", ","),
)
CHINESE_MARKS = (("$", "."), *MARKS)


def map_punctuation(text: str, language: Language) -> str:
    """Replace all marks in one pass by marks that the tokenizer knows."""
    written, pattern = _TABLES[language]
    return pattern.sub(lambda match: written[match.group()], text)


def _table(marks: Iterable[tuple[str, str]]) -> tuple[dict[str, str], re.Pattern[str]]:
    written = dict(marks)
    return written, re.compile("|".join(map(re.escape, written)))


_TABLES = {"en": _table(MARKS), "zh": _table(CHINESE_MARKS)}
