"""What a run of transcription tells: counts, what is empty, what is doubtful, how fast it went."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from vtune.errors import printable

NAMES = 10
"""Names that a line of the summary lists."""


@dataclass(slots=True)
class Report:
    """What became of the recordings of a folder.

    :param rows: of the table; ``own``, those that are the user's: written or corrected by hand.
    :param heard: recordings heard in this run, with ``heard_seconds`` of sound in ``took`` seconds.
    :param empty: names with reasons; ``unreadable`` likewise.
    :param left: recordings that a limit left for another run.
    :param flags: how many texts have a red flag of each kind; ``flagged``, of any.
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
    empty: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Say it in a few lines."""
        said = [
            f"{self.recordings:,} recordings, {self.seconds / 60:.1f} minutes: "
            f"{self.rows:,} rows in {printable(str(self.table))}, "
            f"{len(self.empty):,} without words, {len(self.unreadable):,} unreadable"
        ]
        if self.heard:
            said.append(f"heard now: {self.heard:,} ({speed(self.heard_seconds, self.took)})")
        if self.own or self.deleted:
            said.append(f"left as you have them: {self.own:,} rows, and {self.deleted:,} that you deleted")
        if self.left:
            said.append(f"left for another run by the limit: {self.left:,}")
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.flags.most_common())
        said.append(f"red flags on {self.flagged:,} of {self.rows:,} rows" + (f": {kinds}" if kinds else ""))
        said += listing("without words, so not in the table", self.empty, self.journal)
        said += listing("unreadable", self.unreadable, self.journal)
        return said


def speed(seconds: float, took: float) -> str:
    """Say how long sound took: ``29.8 minutes in 312 s, 5.7 x real time``."""
    return f"{seconds / 60:.1f} minutes in {took:.0f} s, {seconds / took if took else 0.0:.1f} x real time"


def listing(what: str, named: list[tuple[str, str]], more_in: Path) -> list[str]:
    """List names with reasons, some of them."""
    said = [f"{what}: {printable(name)}: {printable(why)}" for name, why in named[:NAMES]]
    rest = len(named) - NAMES
    return [*said, f"... and {rest:,} more {what}; see {printable(str(more_in))}"] if rest > 0 else said
