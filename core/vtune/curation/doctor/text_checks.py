"""What the words of one row say by themselves."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from vtune.curation.doctor.checks import found
from vtune.curation.doctor.findings import Finding, Measure, Severity
from vtune.dataset import Row
from vtune.dataset.sources.plain_text import unfit_words

DIGITS = re.compile(r"\d+")
SYMBOLS = re.compile(r"[%&@#$€£¥§°©+=*/\\^_~|{}]|https?:|www\.")
FORMULA = "=+-@"
HIDDEN = re.compile("[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]")
"""Characters that nobody sees. Not the joiners, by which words of Persian and Hindi are spelt."""

IDEOGRAPH = 3
"""Letters that one ideograph or syllable sign is spoken as long as, about."""


def read(row: Row, *, engine: bool) -> Iterator[Finding]:
    """Yield what is wrong with the words of a row whose recording is there.

    :param engine: an engine is named, so how a text is read matters now.
    """
    unfit = unfit_words(row.text)
    if row.problem and row.line is None:
        yield found("unlisted", Severity.WARNING, row, row.problem, "list it with its words, or take it away")
    elif row.problem and row.problem != unfit:
        yield found("row", Severity.ERROR, row, row.problem, "mend the row")
    elif not row.text:
        yield found(
            "no-words", Severity.ERROR, row, "no words", "write down what is said (vtune transcribe), or remove it"
        )
    elif unfit:
        yield found("unspeakable", Severity.ERROR, row, unfit, "correct the words; --fix takes control characters out")
    if row.text:
        yield from _letters(row, engine=engine)
    if row.red_flags:
        advice = "listen and correct or approve it (vtune review)"
        yield found("flagged", Severity.WARNING, row, f"words in doubt: {row.red_flags[:160]}", advice)


def letters(text: str) -> int:
    """Count what takes time to say: letters and digits, ideographs threefold."""
    return sum(IDEOGRAPH if _is_ideograph(char) else 1 for char in text if char.isalnum())


def same(text: str) -> str:
    """Bring words to a form in which two are the same when they are spoken the same: no case, no punctuation."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(char if char.isalnum() or char in "'’" else " " for char in plain).split())


def _letters(row: Row, *, engine: bool) -> Iterator[Finding]:
    if hidden := HIDDEN.findall(row.text):
        message = f"the words hold {len(hidden)} invisible characters, the first is U+{ord(hidden[0]):04X}"
        yield found(
            "invisible",
            Severity.WARNING,
            row,
            message,
            "take them out (--fix does)",
            Measure(len(hidden), "characters"),
        )
    # A dash before a blank opens dialogue.
    if row.text[0] in FORMULA and not row.text.startswith("- "):
        advice = "begin it with another character, or never open the table in a spreadsheet"
        yield found("formula", Severity.WARNING, row, f"the words begin with {row.text[0]!r}", advice)
    strange = sorted({match[0] for pattern in (DIGITS, SYMBOLS) for match in pattern.finditer(row.text)})
    if strange:
        severity = Severity.WARNING if engine else Severity.NOTE
        message = f"the words hold {' '.join(strange[:8])}, which can be read in several ways"
        advice = "write out what is said; some engines spell out numbers themselves, but not always as the speaker did"
        yield found("symbols", severity, row, message, advice, Measure(len(strange), "kinds"))


def _is_ideograph(char: str) -> bool:
    return "\u3040" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7af"
