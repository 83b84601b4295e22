"""What an examination finds: each thing with its place, its measure, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """The row cannot be used, or would teach the voice something wrong."""
    WARNING = "warning"
    """It costs quality; mend it or leave it out if there are better clips."""
    NOTE = "note"
    """Good to know."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A number with its unit."""

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one row, one recording, or the whole.

    :param check: the name of the check; stable, for programs.
    :param file: the table or text that lists the row; None for what concerns the whole.
    :param line: counted from 1; None where the recording stands for itself.
    :param audio: the recording as its source names it.
    :param message: what was found, with its numbers; ``advice`` what to do.
    """

    check: str
    severity: Severity
    message: str
    advice: str
    file: str | None = None
    line: int | None = None
    audio: str | None = None
    measure: Measure | None = None

    @property
    def place(self) -> str:
        """``file:line``, as editors understand it."""
        if self.file is None:
            return "the whole"
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Clip:
    """One row that was examined, and what became of it.

    :param usable: a run would take it.
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
    """All that was found.

    :param description: what the source was understood to be.
    :param clips: every row, in the order of the source.
    :param recordings: how many files or sounds were measured.
    :param findings: the worst first.
    :param left_out: checks that were not done, with the reason.
    :param advice: what the amount of speech is good for.
    """

    description: Sequence[str]
    clips: Sequence[Clip]
    recordings: int
    findings: Sequence[Finding]
    left_out: Sequence[str] = ()
    advice: Sequence[str] = ()
    engine: str | None = None

    @property
    def usable(self) -> list[Clip]:
        """The rows that a run would take."""
        return [clip for clip in self.clips if clip.usable]

    @property
    def counts(self) -> Counter[Severity]:
        """Findings of each severity."""
        return Counter(finding.severity for finding in self.findings)
