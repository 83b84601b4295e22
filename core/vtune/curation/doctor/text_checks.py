"""Check the words of one row."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from vtune.curation.doctor.check_titles import make_finding
from vtune.curation.doctor.findings import Finding, Measure, Severity
from vtune.dataset import Row
from vtune.dataset.sources.plain_text import unfit_words

DIGITS_PATTERN = re.compile(r"\d+")
SYMBOLS_PATTERN = re.compile(r"[%&@#$€£¥§°©+=*/\\^_~|{}]|https?:|www\.")
FORMULA_CHARACTERS = "=+-@"
INVISIBLE_PATTERN = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]"
)
"""Invisible characters, except the joiners, which the spelling of Persian and Hindi needs."""

LETTERS_PER_IDEOGRAPH = 3
"""Letters that take about as long to say as one ideograph or syllable sign."""


def text_findings(row: Row, *, engine: bool) -> Iterator[Finding]:
    """Yield the findings about the words of a row whose recording exists.

    :param engine: True if an engine is named: then it matters how the engine reads the text.
    """
    unfit = unfit_words(row.text)
    if row.problem and row.line is None:
        yield make_finding(
            "unlisted", Severity.WARNING, row, row.problem, "add a row with its words, or remove the recording"
        )
    elif row.problem and row.problem != unfit:
        yield make_finding("row", Severity.ERROR, row, row.problem, "correct the row")
    elif not row.text:
        yield make_finding(
            "no-words",
            Severity.ERROR,
            row,
            "the row has no words",
            "write the words (vtune transcribe), or remove the row",
        )
    elif unfit:
        message, _, advice = unfit.partition("; ")
        if advice == "take it out" and any(unicodedata.category(char) == "Cc" for char in row.text):
            advice = "take it out (--fix does)"
        check = "no-words" if message.startswith("no words") else "unspeakable"
        yield make_finding(check, Severity.ERROR, row, message, advice or "write the words, or remove the row")
    if row.text:
        yield from _letters(row)
    if row.text and not unfit:
        yield from _symbols(row, engine=engine)
    if row.red_flags:
        advice = "listen, then correct or approve the words (vtune review)"
        message = f"the row is marked as doubtful: {row.red_flags[:160]}"
        yield make_finding("flagged", Severity.WARNING, row, message, advice)


def count_letters(text: str) -> int:
    """Return the number of letters and digits in a text; an ideograph counts as three letters."""
    return sum(LETTERS_PER_IDEOGRAPH if _is_ideograph(char) else 1 for char in text if char.isalnum())


def _letters(row: Row) -> Iterator[Finding]:
    if hidden := INVISIBLE_PATTERN.findall(row.text):
        count = "an invisible character" if len(hidden) == 1 else f"{len(hidden)} invisible characters"
        message = f"the words contain {count} (U+{ord(hidden[0]):04X})"
        yield make_finding(
            "invisible",
            Severity.WARNING,
            row,
            message,
            "remove these characters (--fix does)",
            Measure(len(hidden), "characters"),
        )
    # A dash before a space opens dialogue.
    if row.text[0] in FORMULA_CHARACTERS and not row.text.startswith("- "):
        advice = "let the words start with another character, or never open the table in a spreadsheet"
        yield make_finding("formula", Severity.WARNING, row, f"the words start with {row.text[0]!r}", advice)


def _symbols(row: Row, *, engine: bool) -> Iterator[Finding]:
    strange = sorted(
        {match[0] for pattern in (DIGITS_PATTERN, SYMBOLS_PATTERN) for match in pattern.finditer(row.text)}
    )
    if strange:
        severity = Severity.WARNING if engine else Severity.NOTE
        message = f"the words contain {' '.join(strange[:8])}, which can be read in several ways"
        advice = "write numbers and symbols in words, as they are spoken; an engine may read them in another way"
        yield make_finding("symbols", severity, row, message, advice, Measure(len(strange), "kinds"))


def _is_ideograph(char: str) -> bool:
    return "\u3040" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7af"
