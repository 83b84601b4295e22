"""A repaired copy of a source: what can be mended is, what cannot is left out or listed; the source stays as it is."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vtune.curation.doctor.findings import Examination, Severity
from vtune.curation.doctor.measure_all import spread
from vtune.curation.doctor.recordings import listener
from vtune.curation.doctor.repair import Mending, Plan, plan_rows
from vtune.dataset import Source
from vtune.errors import VtuneError
from vtune.runtime.paths import must_be_new, new_folder
from vtune.runtime.progress import track

CLIPS, TABLE, RECORD = "clips", "transcripts.csv", "fixes.jsonl"

MENDED = frozenset({"offset", "silence", "level", "level-outlier", "invisible", "extension"})
"""Checks whose findings a repair does away with; those of rows that are left out go with them."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """What a repair did.

    :param written: rows of the copy.
    :param done: how many clips each thing was done to; ``left_out`` how many rows for each reason; ``remaining`` how
        many findings of each check could not be mended.
    """

    folder: Path
    written: int
    done: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    remaining: Counter[str] = field(default_factory=Counter)

    def lines(self) -> Iterator[str]:
        """Say it."""
        left = self.left_out.total()
        yield f"{self.folder}: {self.written:,} clips written, {left:,} rows left out; {RECORD} has every row"
        for title, counts in (("mended", self.done), ("left out", self.left_out), ("as it was", self.remaining)):
            for what, number in counts.most_common():
                yield f"  {title}: {what} ({number:,})"


def fix(
    source: Source,
    examination: Examination,
    out: Path,
    *,
    apart_from: Sequence[Path] = (),
    processes: int | None = None,
    has_words: bool = True,
) -> Fixed:
    """Write a repaired copy of what was examined into a new folder, which stands whole or not at all.

    :param apart_from: folders of the source, which the new one must not lie in.
    :raises VtuneError: the folder is not new, or lies in the source; a recording cannot be read any more.
    """
    check_new(out, apart_from)
    # The later of two rows with one sound; where their words differ, nobody but a listener knows which are right.
    again = {
        (one.file, one.line, one.audio)
        for one in examination.findings
        if one.check == "same-sound" and one.severity is Severity.WARNING
    }
    unheard = {
        one.audio: one.message
        for one in examination.findings
        if one.check in ("missing", "unreadable", "truncated", "no-speech")
    }
    plans = list(plan_rows(source.rows(), again, unheard, has_words=has_words))
    kept = [plan for plan in plans if plan.reason is None]
    fixed = Fixed(out, len(kept))
    with new_folder(out, keep=lambda: must_be_new(out)) as folder:
        (folder / CLIPS).mkdir()
        mending = Mending(listener(source), str(folder / CLIPS))
        wanted = [(plan.row.audio, plan.name) for plan in kept]
        mended = spread(mending, wanted, processes or os.cpu_count() or 1)
        for plan, done in zip(kept, track(mended, "mending", len(wanted), "clips"), strict=True):
            plan.done.extend(done)
        if has_words:
            _write_table(folder / TABLE, kept)
        _write_record(folder / RECORD, plans, examination, fixed)
    return fixed


def check_new(out: Path, apart_from: Sequence[Path]) -> None:
    """See to it that a folder can be written. :raises VtuneError: it is there, or lies in the source."""
    if os.path.lexists(out) and not (out.is_dir() and not out.is_symlink() and not os.listdir(out)):
        raise VtuneError(f"{out} is there already; name a new folder for the repaired copy")
    real = out.resolve()
    for folder in apart_from:
        if folder.resolve() in (real, *real.parents):
            raise VtuneError(f"{out} lies in the source {folder}; name a folder outside of it")


def _write_table(path: Path, plans: Sequence[Plan]) -> None:
    speakers = any(plan.row.speaker for plan in plans)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["filename", "text", *(["speaker"] if speakers else []), "red_flags"])
        for plan in plans:
            table.writerow([plan.name, plan.text, *([plan.row.speaker] if speakers else []), plan.row.red_flags])


def _write_record(path: Path, plans: Sequence[Plan], examination: Examination, fixed: Fixed) -> None:
    remaining: dict[tuple[str | None, int | None, str | None], list[str]] = {}
    for one in examination.findings:
        if one.severity is not Severity.NOTE and one.check not in MENDED:
            remaining.setdefault((one.file, one.line, one.audio), []).append(one.check)
    with path.open("w", encoding="utf-8") as file:
        for plan in plans:
            row = plan.row
            left = [] if plan.reason else remaining.get((row.file, row.line, row.audio), [])
            if "unspeakable" in left:
                left.remove("unspeakable")  # else it were left out
            done = [] if plan.reason else plan.done
            entry = {
                "status": "left out" if plan.reason else "written",
                "reason": plan.reason,
                "file": row.file,
                "line": row.line,
                "audio": row.audio,
                "clip": None if plan.reason else f"{CLIPS}/{plan.name}.wav",
                "text": plan.text,
                "done": done,
                "remaining": left,
            }
            file.write(json.dumps(entry) + "\n")
            fixed.done.update(done)
            fixed.left_out.update([plan.kind] if plan.reason else [])
            fixed.remaining.update(left)
