"""What came of a folder of recordings: minutes in, minutes kept, and why the rest is not; for people and programs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vtune.errors import printable
from vtune.ingest.prepare.records import Record
from vtune.runtime.paths import write_json, write_text

PAUSES, NOISE = "pauses", "music or noise"


@dataclass(slots=True)
class Report:
    """Counts and seconds. ``left`` says of what is not kept how many seconds there are of each kind."""

    recordings: int = 0
    done_before: int = 0
    clips: int = 0
    forced: int = 0
    seconds: float = 0.0
    kept: float = 0.0
    left: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    problems: list[str] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Count one recording."""
        self.recordings += 1
        self.seconds += record.seconds
        if record.reason is not None:
            self.problems.append(record.reason)
            self.left["not usable"] += record.seconds
            return
        kept = sum(one.seconds for one in record.kept)
        short = sum(one.seconds for one in record.cuts if one.clip is None)
        noise = min(record.noise, max(0.0, record.seconds - kept - short))
        self.clips += len(record.kept)
        self.forced += sum(one.forced for one in record.kept)
        self.kept += kept
        self.left["speech that stands alone and is too short"] += short
        self.left[NOISE] += noise
        self.left[PAUSES] += record.seconds - kept - short - noise

    def lines(self) -> list[str]:
        """Say it, a line a fact."""
        rest = ", ".join(f"{kind} {seconds / 60:.1f}" for kind, seconds in self.left.items() if seconds >= 0.05)
        before = f" ({self.done_before:,} done before)" if self.done_before else ""
        said = [
            f"{self.recordings:,} recordings, {self.seconds / 60:.1f} min{before}: "
            f"{self.clips:,} clips, {self.kept / 60:.1f} min kept" + (f"; not kept, in min: {rest}" if rest else "")
        ]
        if self.forced:
            said.append(f"{self.forced:,} clips begin or end inside speech that never pauses; listen to them first")
        shown = self.problems[:10]
        more = len(self.problems) - len(shown)
        return [
            *said,
            *(f"not used: {printable(one)}" for one in shown),
            *([f"... and {more:,} more, in the ledger"] if more else []),
        ]

    def settings(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "recordings": self.recordings,
            "clips": self.clips,
            "cut inside speech": self.forced,
            "minutes": round(self.seconds / 60, 3),
            "minutes kept": round(self.kept / 60, 3),
            "minutes left": {kind: round(seconds / 60, 3) for kind, seconds in self.left.items()},
            "not used": self.problems,
        }


def write_report(out: Path, report: Report, records: Iterable[Record]) -> None:
    """Write ``report.json``, and ``ledger.jsonl`` with a line for each clip and each thing that became none."""
    lines = (json.dumps(line) for record in records for line in _entries(record))
    write_text(out / "ledger.jsonl", "".join(f"{line}\n" for line in lines))
    # A file's name need not be text.
    write_json(out / "report.json", json.loads(json.dumps(report.settings()).encode("ascii", "replace")))


def _entries(record: Record) -> Iterator[dict[str, Any]]:
    about = {"recording": record.recording}
    if record.reason is not None:
        yield {**about, "status": "skipped", "reason": record.reason, "seconds": round(record.seconds, 3)}
        return
    for one in record.cuts:
        yield {
            **about,
            "status": "clip" if one.clip else "skipped",
            "clip": one.clip,
            "start": round(one.start, 3),
            "end": round(one.end, 3),
            "seconds": round(one.seconds, 3),
            "cut inside speech": one.forced,
            "reason": one.reason,
        }
    rest = record.seconds - sum(one.seconds for one in record.cuts)
    yield {**about, "status": "skipped", "reason": f"{PAUSES}, {NOISE}", "seconds": round(max(rest, 0.0), 3)}
