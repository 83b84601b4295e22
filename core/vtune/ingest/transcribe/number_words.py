"""Write the numerals of a text in words by the rules of its language, with num2words (extra ``numbers``).

This is the second choice, for recognisers that cannot write numbers in words themselves: rules do not know how the
speaker said a number. A numeral that these rules do not know stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from vtune.contract.recognisers import Recogniser, Transcript
from vtune.ingest.transcribe.numerals import numerals_in
from vtune.recipe.data_sections import TranscribeRecipe
from vtune.types import Waveform

DECIMAL_COMMA_LANGUAGES = frozenset(
    {"az", "be", "bg", "ca", "cs", "da", "de", "el", "es", "et", "eu", "fi", "fr", "gl", "hr", "hu", "id", "is", "it"}
    | {"kk", "lt", "lv", "nl", "nn", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "tr", "uk", "vi"}
)
"""Languages that write 3,5 for three and a half, and 1.000 for a thousand."""

YEAR_LANGUAGES = frozenset({"en", "de", "nl"})
"""Languages in which a year is said in another way than the same number of things: "fourteen fifty-five"."""

DECIMAL_LANGUAGES = frozenset({"en", "de", "fr", "it", "nl", "pl", "pt"})
"""Languages whose decimal fractions num2words says as a person would; in others, 3,5 may become "three comma fifty"."""

YEARS = range(1100, 2000)

MAX_DIGITS = 15
"""Digits of the longest number that is written in words; a longer one is read digit by digit, if at all."""

_CURRENCIES = {"$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "penny")}
_NUMERAL = re.compile(
    r"(?<![\w.,:/-])(?P<currency>[$€£])?(?P<number>\d+(?:[.,]\d+)*)(?::(?P<minutes>[0-5]\d))?"
    r"(?P<suffix>st|nd|rd|th|%)?(?![\w%$€£/-]|[.,:]\d)"
)


class NumberWordsRecogniser:
    """A recogniser whose transcripts have numbers in words, as far as num2words knows the language.

    :param settings: the language, which is that of each transcript if it is ``auto``.
    """

    def __init__(self, recogniser: Recogniser, settings: TranscribeRecipe) -> None:
        self._recogniser, self._settings = recogniser, settings
        self.batch = recogniser.batch

    def transcribe(self, sounds: Sequence[Waveform]) -> list[Transcript]:
        """Transcribe each sound."""
        return [self._in_words(transcript) for transcript in self._recogniser.transcribe(sounds)]

    def _in_words(self, transcript: Transcript) -> Transcript:
        language = transcript.language if self._settings.language == "auto" else self._settings.language
        text = write_numbers(transcript.text, language or "")
        if text == transcript.text:
            return transcript
        left = numerals_in(text)
        spelled = tuple(numeral for numeral in numerals_in(transcript.text) if numeral not in left)
        return replace(transcript, text=text, numerals=(*transcript.numerals, *spelled))


def write_numbers(text: str, language: str) -> str:
    """Return a text with its numerals in words; a numeral that the rules of the language do not know stays.

    Example: ``write_numbers("On the 20th, he paid $5.", "en")`` is ``"On the twentieth, he paid five dollars."``.
    """
    if missing_rules(language) is not None:
        return text
    return _NUMERAL.sub(lambda match: _words(match, language) or match[0], text)


def missing_rules(language: str) -> str | None:
    """Return why there are no rules for the numbers of a language; None if there are."""
    try:
        from num2words import num2words
    except ImportError:
        return "the extra 'numbers' (num2words), which has rules for numbers, is not installed"
    try:
        num2words(1, lang=language)
    except NotImplementedError:
        return f"num2words has no rules for language {language!r}"
    return None


def _words(match: re.Match[str], language: str) -> str | None:
    """Return the words of one numeral; None if the rules do not know it."""
    from num2words import num2words

    currency, minutes, suffix = match["currency"], match["minutes"], match["suffix"]
    number = _value(match["number"], language)
    if number is None or ((currency or minutes or suffix) and language != "en"):
        return None
    is_integer = number == number.to_integral_value()
    if not is_integer and language not in DECIMAL_LANGUAGES:
        return None
    if language != "en" and re.match(r"\.\s+\w", match.string[match.end() :]):
        return None  # "20. Mai" is an ordinal number in many languages
    if minutes:
        return (
            _time_of_day(int(number), int(minutes)) if is_integer and number < 24 and not (currency or suffix) else None
        )
    if currency:
        return None if suffix else _money(number, currency)
    if suffix and suffix != "%":
        return str(num2words(int(number), lang=language, to="ordinal")) if is_integer else None
    is_year = (
        language in YEAR_LANGUAGES and not suffix and match["number"].isdigit() and is_integer and int(number) in YEARS
    )
    try:
        words = str(
            num2words(int(number) if is_integer else number, lang=language, to="year" if is_year else "cardinal")
        )
    except (ArithmeticError, LookupError, NotImplementedError, TypeError, ValueError):  # by the language's module
        return None
    words = words.replace(",", "") if language == "en" else words
    return f"{words} percent" if suffix else words


def _value(digits: str, language: str) -> Decimal | None:
    """Return the value of a number with its marks, such as "1,455.5"; None if the marks have no meaning."""
    if len(digits) > MAX_DIGITS:
        return None
    group, point = (".", ",") if language in DECIMAL_COMMA_LANGUAGES else (",", ".")
    if not re.fullmatch(rf"(\d+|\d{{1,3}}(\{group}\d{{3}})+)(\{point}\d+)?", digits):
        return None
    if digits.startswith("0") and len(digits) > 1 and digits[1].isdigit():
        return None  # "007" is read digit by digit
    return Decimal(digits.replace(group, "").replace(point, "."))


def _money(amount: Decimal, currency: str) -> str | None:
    from num2words import num2words

    unit, part = _CURRENCIES[currency]
    units, rest = int(amount), int(100 * (amount % 1))
    if amount * 100 % 1:
        return None
    parts = {"penny": "pence"}
    words = [f"{num2words(units)} {unit if units == 1 else unit + 's'}"] if units or not rest else []
    words += [f"{num2words(rest)} {part if rest == 1 else parts.get(part, part + 's')}"] if rest else []
    return " and ".join(words).replace(",", "")


def _time_of_day(hour: int, minutes: int) -> str:
    from num2words import num2words

    if not minutes:
        return f"{num2words(hour)} o'clock"
    return f"{num2words(hour)} {'oh ' if minutes < 10 else ''}{num2words(minutes)}"
