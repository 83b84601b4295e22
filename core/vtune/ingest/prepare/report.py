"""Report the result of cutting a folder of recordings: minutes read, minutes kept, and reasons for the others."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vtune.errors import printable
from vtune.ingest.prepare.cut_records import CutRecord
from vtune.recipe.data_sections import MIN_CLIP_SECONDS
from vtune.runtime.paths import write_json, write_text

PAUSES_KIND, NOISE_KIND = "pauses", "music, noise and breaths"
"""Kinds of sound that are not kept."""

MAX_LISTED_PROBLEMS = 10
"""Recordings without a clip that the report lists."""


@dataclass(slots=True)
class PrepareReport:
    """Counts and seconds of all recordings.

    :param done_before: recordings that an earlier run cut with the same settings.
    :param doubts: clips to listen to first, by reason.
    :param by_network: recordings whose speech a network found.
    :param needs_network: recordings whose noise asks for the network, which was not used.
    :param kept: seconds in clips.
    :param left_out: seconds that are not kept, by kind.
    :param problems: why recordings have no clip, one line each.
    :param short: seconds of the longest speech of each recording whose speech is too short for a clip.
    """

    recordings: int = 0
    done_before: int = 0
    clips: int = 0
    doubts: Counter[str] = field(default_factory=Counter)
    by_network: int = 0
    needs_network: int = 0
    seconds: float = 0.0
    kept: float = 0.0
    left_out: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    problems: list[str] = field(default_factory=list)
    short: list[float] = field(default_factory=list)

    def add(self, record: CutRecord) -> None:
        """Add the record of one recording."""
        self.recordings += 1
        self.seconds += record.seconds
        if record.reason is not None:
            self.problems.append(record.reason)
            self.left_out["unusable recordings"] += record.seconds
            return
        if not record.clips:
            self.short.append(max(span.seconds for span in record.cuts))
            self.problems.append(f"{record.recording} holds {self.short[-1]:.2f} s of speech, too short for a clip")
        kept = sum(span.seconds for span in record.clips)
        short = sum(span.seconds for span in record.cuts if span.clip is None)
        noise = min(record.noise, max(0.0, record.seconds - kept - short))
        self.clips += len(record.clips)
        self.doubts.update(span.doubt for span in record.clips if span.doubt)
        self.by_network += record.by_network
        self.needs_network += record.needs_network
        self.kept += kept
        self.left_out["speech that is too short and too far from other speech"] += short
        self.left_out[NOISE_KIND] += noise
        self.left_out[PAUSES_KIND] += record.seconds - kept - short - noise

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        not_kept = ", ".join(f"{kind} {seconds / 60:.1f}" for kind, seconds in self.left_out.items() if seconds >= 0.05)
        before = f", {self.done_before:,} of them cut by an earlier run" if self.done_before else ""
        lines = [
            f"{self.recordings:,} recordings ({self.seconds / 60:.1f} min{before}): "
            f"{self.clips:,} clips, {self.kept / 60:.1f} min kept"
            + (f"; minutes not kept: {not_kept}" if not_kept else "")
        ]
        if self.by_network:
            lines.append(f"{self.by_network:,} recordings: the network found the speech (vad)")
        if self.needs_network:
            lines.append(
                f"{self.needs_network:,} recordings hold noise, music or breaths that the level alone cannot tell from "
                "speech; the network can: pip install 'vtune-tts[vad]', and leave prepare.vad at auto"
            )
        lines += [f"{count:,} clips to listen to first: {doubt}" for doubt, count in self.doubts.most_common()]
        return [*lines, *self._lines_without_clip()]

    def _lines_without_clip(self) -> list[str]:
        """Return the lines about the recordings that became no clip."""
        if not self.problems:
            return []
        lines = [f"{len(self.problems):,} of {self.recordings:,} recordings became no clip:"]
        lines += [f"  {printable(problem)}" for problem in self.problems[:MAX_LISTED_PROBLEMS]]
        hidden = len(self.problems) - MAX_LISTED_PROBLEMS
        lines += [f"  ... and {hidden:,} more; see ledger.jsonl"] if hidden > 0 else []
        usable = [seconds for seconds in self.short if seconds >= MIN_CLIP_SECONDS]
        if usable:
            least = math.floor(10 * min(usable)) / 10
            lines.append(f"--min-duration {least:g} (prepare.min_seconds: {least:g}) keeps {len(usable):,} of them")
        return lines

    def settings(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "recordings": self.recordings,
            "recordings without a clip": len(self.problems),
            "speech found by the network": self.by_network,
            "network needed": self.needs_network,
            "clips": self.clips,
            "listen first": dict(self.doubts),
            "minutes": round(self.seconds / 60, 3),
            "minutes kept": round(self.kept / 60, 3),
            "minutes left": {kind: round(seconds / 60, 3) for kind, seconds in self.left_out.items()},
            "not used": self.problems,
        }


def write_report(out: Path, report: PrepareReport, records: Iterable[CutRecord]) -> None:
    """Write ``report.json``, and ``ledger.jsonl`` with one line for each clip and each part that is not kept."""
    lines = (json.dumps(line) for record in records for line in _entries(record))
    write_text(out / "ledger.jsonl", "".join(f"{line}\n" for line in lines))
    # A file name need not be valid text.
    write_json(out / "report.json", json.loads(json.dumps(report.settings()).encode("ascii", "replace")))


def _entries(record: CutRecord) -> Iterator[dict[str, Any]]:
    common = {"recording": record.recording}
    if record.reason is not None:
        yield {**common, "status": "skipped", "reason": record.reason, "seconds": round(record.seconds, 3)}
        return
    for span in record.cuts:
        yield {
            **common,
            "status": "clip" if span.clip else "skipped",
            "clip": span.clip,
            "start": round(span.start, 3),
            "end": round(span.end, 3),
            "seconds": round(span.seconds, 3),
            "listen first": span.doubt,
            "reason": span.reason,
            "speech found by": "network" if record.by_network else "level",
            "snr": record.snr,
        }
    seconds_left = record.seconds - sum(span.seconds for span in record.cuts)
    reason = f"{PAUSES_KIND}, {NOISE_KIND}"
    yield {**common, "status": "skipped", "reason": reason, "seconds": round(max(seconds_left, 0.0), 3)}
