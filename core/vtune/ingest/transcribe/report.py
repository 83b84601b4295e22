"""Report a transcription run: counts, recordings without words, doubtful texts, and speed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from vtune.errors import printable

MAX_LISTED_NAMES = 10
"""Largest number of recordings of one kind that the report lists."""

MAX_LISTED_NUMERALS = 8
"""Largest number of numerals that the report shows."""


@dataclass(slots=True)
class TranscribeReport:
    """The result of transcribing a folder of recordings.

    :param rows: rows of the table.
    :param own: rows that the user wrote or corrected.
    :param deleted: rows that the user deleted.
    :param heard: recordings that this run recognised: ``heard_seconds`` of sound in ``took`` seconds.
    :param left: recordings that ``limit`` left for another run.
    :param flagged: rows with a red flag; ``flags`` counts them by kind.
    :param written_out: rows whose numbers are written in words.
    :param numerals: numerals that are left, of rows that vtune wrote; ``numerals_why`` says why.
    :param empty: names of recordings without words, with reasons; ``unreadable`` likewise.
    """

    table: Path
    journal: Path
    recordings: int = 0
    seconds: float = 0.0
    rows: int = 0
    own: int = 0
    deleted: int = 0
    heard: int = 0
    heard_seconds: float = 0.0
    took: float = 0.0
    left: int = 0
    flagged: int = 0
    flags: Counter[str] = field(default_factory=Counter)
    written_out: int = 0
    numerals: list[str] = field(default_factory=list)
    numerals_why: str = ""
    empty: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the report as a few lines of text."""
        lines = [
            f"{self.recordings:,} recordings, {self.seconds / 60:.1f} minutes: "
            f"{self.rows:,} rows in {printable(str(self.table))}, "
            f"{len(self.empty):,} without words, {len(self.unreadable):,} unreadable"
        ]
        if self.heard:
            lines.append(f"recognised in this run: {self.heard:,} ({describe_speed(self.heard_seconds, self.took)})")
        if self.own or self.deleted:
            lines.append(
                f"your changes are kept: {self.own:,} rows that you wrote or changed, {self.deleted:,} that you deleted"
            )
        if self.left:
            lines.append(f"{self.left:,} recordings are left for another run because of --limit")
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.flags.most_common())
        lines.append(f"{self.flagged:,} of {self.rows:,} rows have red flags" + (f": {kinds}" if kinds else ""))
        if self.written_out:
            lines.append(
                f"numbers are written in words in {self.written_out:,} rows; the column written_out has the digits"
            )
        if self.numerals:
            shown = " ".join(self.numerals[:MAX_LISTED_NUMERALS])
            lines.append(
                printable(
                    f"{len(self.numerals):,} numbers are left in digits ({shown}): {self.numerals_why}; write them as "
                    "they are spoken (vtune review)"
                )
            )
        lines += list_reasons("no words, so not in the table", self.empty, self.journal)
        lines += list_reasons("unreadable", self.unreadable, self.journal)
        return lines


def describe_speed(seconds: float, took: float) -> str:
    """Return the speed as text, such as ``29.8 minutes in 312 s, 5.7 x real time``."""
    return f"{seconds / 60:.1f} minutes in {took:.0f} s, {seconds / took if took else 0.0:.1f} x real time"


def list_reasons(what: str, named: list[tuple[str, str]], more_in: Path) -> list[str]:
    """Return up to 10 lines of names with their reasons, and a line that counts the others.

    :param what: what the names have in common, such as ``unreadable``.
    :param named: pairs of name and reason.
    :param more_in: the file that lists all of them.
    """
    lines = [f"{what}: {printable(name)}: {printable(why)}" for name, why in named[:MAX_LISTED_NAMES]]
    hidden = len(named) - MAX_LISTED_NAMES
    return [*lines, f"... and {hidden:,} more ({what}); see {printable(str(more_in))}"] if hidden > 0 else lines
