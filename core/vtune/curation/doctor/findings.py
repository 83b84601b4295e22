"""The result of an examination: findings with their location, measure and advice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """The row cannot be used, or teaches the voice something wrong."""
    WARNING = "warning"
    """The row lowers the quality; correct it, or leave it out if there are better clips."""
    NOTE = "note"
    """Information only."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A number with its unit."""

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class RowLocation:
    """Where a row is: its table or text file, its line counted from 1, and the name of its recording."""

    file: str
    line: int | None
    audio: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a row, of a recording, of a group of rows, or of the whole data set.

    :param check: stable name of the check, for programs.
    :param message: what was found, with numbers.
    :param advice: what to do about it.
    :param file: table or text file of the row; None if the finding concerns the whole data set.
    :param line: line of the row, counted from 1; None if no row names the recording.
    :param audio: name of the recording in its source.
    :param others: the other rows of a group, such as the copies of a recording; the group is one finding.
    """

    check: str
    severity: Severity
    message: str
    advice: str
    file: str | None = None
    line: int | None = None
    audio: str | None = None
    measure: Measure | None = None
    others: tuple[RowLocation, ...] = ()

    @property
    def row_keys(self) -> list[tuple[str | None, int | None, str | None]]:
        """File, line and recording of each row that the finding is about."""
        others = ((clip.file, clip.line, clip.audio) for clip in self.others)
        return [(self.file, self.line, self.audio), *others]

    @property
    def place(self) -> str:
        """Location as ``file:line``, which editors can open."""
        if self.file is None:
            return "the whole data set"
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class ExaminedClip:
    """One examined row.

    :param seconds: length of the recording; 0 if it could not be read.
    :param rate: sample rate of the recording; 0 if it could not be read.
    :param usable: True if a run would use the row.
    """

    file: str
    line: int | None
    audio: str
    text: str
    speaker: str
    seconds: float
    rate: int
    usable: bool


@dataclass(frozen=True, slots=True)
class Examination:
    """The result of examining one source.

    :param description: lines that describe how the source was read.
    :param clips: every row, in the order of the source.
    :param recordings: number of recordings that were measured.
    :param findings: all findings, the worst first.
    :param left_out: checks that were not done, each with the reason.
    :param advice: what the amount of speech is good for, one line per voice.
    :param engine: name of the engine whose limits were checked.
    :param has_words: False for recordings without words, of which no row can be trained on yet.
    """

    description: Sequence[str]
    clips: Sequence[ExaminedClip]
    recordings: int
    findings: Sequence[Finding]
    left_out: Sequence[str] = ()
    advice: Sequence[str] = ()
    engine: str | None = None
    has_words: bool = True

    @property
    def usable(self) -> list[ExaminedClip]:
        """The rows that a run would use."""
        return [clip for clip in self.clips if clip.usable]

    @property
    def counts(self) -> Counter[Severity]:
        """Number of findings of each severity."""
        return Counter(finding.severity for finding in self.findings)
