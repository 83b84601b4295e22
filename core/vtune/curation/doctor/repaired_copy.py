"""Write a repaired copy of a source. Rows that cannot be repaired are left out or listed."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vtune.curation.doctor.findings import Examination, Severity
from vtune.curation.doctor.measure_all import map_in_processes
from vtune.curation.doctor.recording_openers import opener_of
from vtune.curation.doctor.row_repair import RecordingRepairer, RepairPlan, plan_rows
from vtune.dataset import Source
from vtune.errors import VtuneError
from vtune.runtime.paths import new_folder, require_new_folder
from vtune.runtime.progress import track

CLIPS_FOLDER, TABLE_NAME, RECORD_NAME = "clips", "transcripts.csv", "fixes.jsonl"

REPAIRED_CHECKS = frozenset({"offset", "silence", "level", "level-outlier", "invisible", "extension"})
"""Checks whose findings the repair removes."""


@dataclass(frozen=True, slots=True)
class RepairReport:
    """The result of a repair.

    :param written: rows in the copy.
    :param repaired: number of clips for each kind of repair.
    :param left_out: number of rows for each reason to leave them out.
    :param remaining: number of findings of each check that could not be repaired.
    """

    folder: Path
    written: int
    repaired: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    remaining: Counter[str] = field(default_factory=Counter)

    def lines(self) -> Iterator[str]:
        """Yield the result as lines of text."""
        left_out = self.left_out.total()
        yield f"{self.folder}: {self.written:,} clips written, {left_out:,} rows left out; see {RECORD_NAME}"
        for title, counts in (
            ("repaired", self.repaired),
            ("left out", self.left_out),
            ("not repaired", self.remaining),
        ):
            for kind, count in counts.most_common():
                yield f"  {title}: {kind} ({count:,})"


def write_repaired_copy(
    source: Source,
    examination: Examination,
    out: Path,
    *,
    apart_from: Sequence[Path] = (),
    processes: int | None = None,
    has_words: bool = True,
) -> RepairReport:
    """Write a repaired copy of an examined source into a new folder. The folder is complete or not written.

    :param apart_from: folders of the source; the new folder must not lie in one of them.
    :raises VtuneError: the folder is not new, or lies in the source, or a recording can no longer be read.
    """
    check_new_folder(out, apart_from)
    # All rows but the first with one sound and equal words. If words differ, only a listener knows which are right.
    copies = (finding for finding in examination.findings if finding.check == "same-sound")
    duplicates = {key for finding in copies for key in finding.row_keys[1:]}
    unusable = {
        finding.audio: finding.message
        for finding in examination.findings
        if finding.check in ("missing", "unreadable", "truncated", "no-speech")
    }
    plans = list(plan_rows(source.rows(), duplicates, unusable, has_words=has_words))
    kept = [plan for plan in plans if plan.reason is None]
    report = RepairReport(out, len(kept))
    with new_folder(out, keep=lambda: require_new_folder(out)) as folder:
        (folder / CLIPS_FOLDER).mkdir()
        repairer = RecordingRepairer(opener_of(source), str(folder / CLIPS_FOLDER))
        names = [(plan.row.audio, plan.name) for plan in kept]
        repairs = map_in_processes(repairer, names, processes or os.cpu_count() or 1)
        for plan, steps in zip(kept, track(repairs, "repairing clips", len(names), "clips"), strict=True):
            plan.steps.extend(steps)
        if has_words:
            _write_table(folder / TABLE_NAME, kept)
        _write_record(folder / RECORD_NAME, plans, examination, report)
    return report


def check_new_folder(out: Path, apart_from: Sequence[Path]) -> None:
    """Check that a new folder can be written.

    :raises VtuneError: the folder exists already, or lies in the source.
    """
    if os.path.lexists(out) and not (out.is_dir() and not out.is_symlink() and not os.listdir(out)):
        raise VtuneError(f"{out} exists already; name a new folder for the repaired copy")
    real = out.resolve()
    for folder in apart_from:
        if folder.resolve() in (real, *real.parents):
            raise VtuneError(f"{out} lies in the source {folder}; name a folder outside the source")


def _write_table(path: Path, plans: Sequence[RepairPlan]) -> None:
    speakers = any(plan.row.speaker for plan in plans)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["filename", "text", *(["speaker"] if speakers else []), "red_flags"])
        for plan in plans:
            table.writerow([plan.name, plan.text, *([plan.row.speaker] if speakers else []), plan.row.red_flags])


def _write_record(path: Path, plans: Sequence[RepairPlan], examination: Examination, report: RepairReport) -> None:
    remaining: dict[tuple[str | None, int | None, str | None], list[str]] = {}
    for finding in examination.findings:
        if finding.severity is not Severity.NOTE and finding.check not in REPAIRED_CHECKS:
            for key in finding.row_keys:
                remaining.setdefault(key, []).append(finding.check)
    with path.open("w", encoding="utf-8") as file:
        for plan in plans:
            row = plan.row
            left_over = [] if plan.reason else remaining.get((row.file, row.line, row.audio), [])
            if "unspeakable" in left_over:
                left_over.remove("unspeakable")  # otherwise the row would be left out
            steps = [] if plan.reason else plan.steps
            entry = {
                "status": "left out" if plan.reason else "written",
                "reason": plan.reason,
                "file": row.file,
                "line": row.line,
                "audio": row.audio,
                "clip": None if plan.reason else f"{CLIPS_FOLDER}/{plan.name}.wav",
                "text": plan.text,
                "repairs": steps,
                "remaining": left_over,
            }
            file.write(json.dumps(entry) + "\n")
            report.repaired.update(steps)
            report.left_out.update([plan.kind] if plan.reason else [])
            report.remaining.update(left_over)
