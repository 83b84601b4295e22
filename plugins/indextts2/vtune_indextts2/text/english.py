"""Write an English text without digits and abbreviations; the order of the passes decides between readings."""

from __future__ import annotations

import re

from vtune_indextts2.text.english_abbreviations import write_out
from vtune_indextts2.text.english_dates import read_dates, read_times, read_year_ranges, read_years
from vtune_indextts2.text.english_numbers import number, ordinal, whole
from vtune_indextts2.text.english_quantities import (
    read_fractions,
    read_money,
    read_ranges,
    read_telephones,
    read_units,
)

_ORDINAL = re.compile(r"(?<![\w.,])(\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(?:st|nd|rd|th)\b")
_LETTER_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
_VERSION = re.compile(r"(?<![\d.])\d+(?:\.\d+){2,}+")
_MINUS = re.compile(r"(?:(?<![^\s('\"])-|\u2212)(?=\.?\d)")
_NUMBER = re.compile(r"(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?|(?<![\w.])\.\d++")
_SYMBOLS = {"+": "plus", "=": "equals", "×": "times", "÷": "divided by", "±": "plus or minus"}
_SYMBOL = re.compile(r"(?<=\d) ?([+=×÷±])|([+=×÷±]) ?(?=\d)")
_HASH = re.compile(r"#(?=\d)")
_AND = re.compile(r"(?<= )&(?= )|(?<=\w)&(?=\w)")


def read_out(text: str) -> str:
    """Return the text without digits; blanks must be single.

    Roman numerals stay, as do names of months and words with hyphens.
    """
    text = _AND.sub(" and ", text)
    text = write_out(text)
    text = read_dates(text)
    text = read_telephones(text)
    text = _ORDINAL.sub(lambda match: ordinal(int(match[1].replace(",", ""))), text)
    text = _LETTER_DIGIT.sub(" ", text)
    text = read_times(text)
    text = _VERSION.sub(lambda match: " point ".join(map(whole, match.group().split("."))), text)
    text = read_fractions(text)
    text = read_money(text)
    text = read_year_ranges(text)
    text = read_ranges(text)
    text = _HASH.sub("number ", text)
    text = _MINUS.sub("minus ", text)
    text = _SYMBOL.sub(lambda match: f" {_SYMBOLS[match[1] or match[2]]} ", text)
    text = read_units(text)
    text = read_years(text)
    text = _NUMBER.sub(lambda match: number(match.group()), text)
    return " ".join(text.replace("%", " percent ").split())
