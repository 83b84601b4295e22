"""A folder of recordings to a table of what is said in them, resumable, with what the user changed left alone."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vtune import audio
from vtune.dataset.sources.recordings import Recordings
from vtune.errors import DataError, printable
from vtune.ingest.transcribe.backends import open_recogniser
from vtune.ingest.transcribe.entries import Entry, after, entry_of, number, reflagged, unreadable
from vtune.ingest.transcribe.journal import Journal
from vtune.ingest.transcribe.merge import Rows
from vtune.ingest.transcribe.names import name_in_table
from vtune.ingest.transcribe.recogniser import RATE, Recogniser
from vtune.ingest.transcribe.recognition import Listened, listen
from vtune.ingest.transcribe.report import Report
from vtune.recipe.model import TranscribeRecipe
from vtune.runtime import signals
from vtune.runtime.paths import alone
from vtune.runtime.progress import ProgressBar
from vtune.toolkit.hub import hash_file
from vtune.types import Waveform

TABLE = "transcript.csv"

JOURNAL = ".heard.jsonl"
"""How the journal beside a table ends; readers of data sets know that it is no table."""

VERSION = 1
"""Raised whenever the same recogniser would write down other words of the same recording."""


@dataclass(frozen=True, slots=True)
class _Clip:
    key: str
    path: str
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class _Run:
    """One run over one folder."""

    folder: Path
    table: Path
    settings: TranscribeRecipe
    key: str
    recordings: Recordings
    paths: dict[str, str]
    journal: Journal
    report: Report

    def rows(self) -> Rows:
        """Read the table as it is now."""
        return Rows(self.table, self.recordings, self.paths)


def transcribe_folder(
    folder: Path,
    settings: TranscribeRecipe,
    output: Path | None = None,
    *,
    limit: int | None = None,
    recogniser: Recogniser | None = None,
) -> Report:
    """Write down what is said in every recording below a folder.

    Killed at any moment and run again, it goes on where it was; what the user changed in the table stays.

    :param output: the table; default: ``transcript.csv`` in the folder. Its journal lies beside it (``.heard.jsonl``).
    :param limit: hear so many recordings at most.
    :param recogniser: to be used instead of the one that the settings name.
    :raises DataError: no folder, no recordings, or a table that cannot be read; it is left alone then.
    :raises VtuneError: the recogniser cannot be had or fails, or another run is going on.
    """
    folder, table = Path(folder), Path(output or Path(folder) / TABLE)
    if not folder.is_dir():
        raise DataError(f"{printable(str(folder))} is no folder; name one that holds recordings")
    if table.suffix.lower() != ".csv" or table.is_dir():
        raise DataError(f"the output is a table, a file that ends in .csv, not {printable(str(table))}")
    recordings = Recordings(folder)
    found = {os.path.relpath(path, folder): (path, problem) for path, problem in recordings.rest()}
    if not found:
        raise DataError(f"{printable(str(folder))} has no recordings ({', '.join(sorted(audio.SUFFIXES))})")
    table.parent.mkdir(parents=True, exist_ok=True)
    with alone(table, "another run is writing it"):
        journal_path = table.with_suffix(JOURNAL)
        report = Report(table, journal_path, recordings=len(found))
        paths = {key: path for key, (path, _) in found.items()}
        run = _Run(folder, table, settings, settings_key(settings), recordings, paths, Journal(journal_path), report)
        _hear(run, _waiting(run, {key: problem for key, (_, problem) in found.items()}), limit, recogniser)
        reflagged(run.journal.entries, list(found), settings.language)
        rows = run.rows()  # hearing may have taken hours, and the user may have worked on the table
        rows.merge(run.journal.entries)
        run.journal.rewrite(found)
        _count(run, rows)
    return report


def settings_key(settings: TranscribeRecipe) -> str:
    """Hash what the words depend on beside the recording; a model that is a file counts by its content."""
    path = Path(settings.model).expanduser()
    model = hash_file(path) if path.is_file() else settings.model
    parts = [VERSION, settings.backend, model, settings.language]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _waiting(run: _Run, problems: dict[str, str | None]) -> list[_Clip]:
    """Return the recordings that are to be heard; those that cannot be are noted down."""
    rows, entries, waiting = run.rows(), run.journal.entries, []
    for key, problem in problems.items():
        if problem is None and rows.is_foreign(key, entries.get(key)):
            continue
        path = run.paths[key]
        try:
            if problem is not None:
                raise DataError(problem)
            digest, name = audio.digest_of(Path(path)), name_in_table(path, run.folder, run.table, run.recordings)
        except DataError as error:
            entries[key] = unreadable(entries.get(key), key, str(error))
            continue
        if not rows.is_known(key, entries.get(key), digest, run.key):
            waiting.append(_Clip(key, path, name, digest))
    return waiting


def _hear(run: _Run, waiting: list[_Clip], limit: int | None, recogniser: Recogniser | None) -> None:
    journal, report, taken = run.journal, run.report, waiting[:limit]
    report.left = len(waiting) - len(taken)
    started, loading = time.monotonic(), 0.0

    def opened() -> Recogniser:
        nonlocal loading
        begun = time.monotonic()
        ready = recogniser or open_recogniser(run.settings)
        loading = time.monotonic() - begun
        return ready

    def entry(clip: _Clip, told: Listened) -> Entry:
        made = entry_of(clip.key, clip.name, clip.digest, told, run.settings, run.key)
        return after(journal.entries.get(clip.key), made)

    with ProgressBar("transcribing", len(taken), "clips") as bar:
        for batch in listen(((clip, _reader(clip.path)) for clip in taken), opened):
            with signals.deferred():
                journal.add([entry(clip, told) for clip, told in batch])
            report.heard += sum(told.status != "unreadable" for _, told in batch)
            report.heard_seconds += sum(told.seconds for _, told in batch)
            bar.advance(len(batch))
    report.took = time.monotonic() - started - loading


def _reader(path: str) -> Callable[[], Waveform]:
    return lambda: audio.read(Path(path), RATE)


def _count(run: _Run, rows: Rows) -> None:
    report = run.report
    told = {"empty": report.empty, "unreadable": report.unreadable}
    for key in run.paths:
        entry = run.journal.entries.get(key, {})
        report.seconds += number(entry.get("seconds")) or 0.0
        if (names := told.get(entry.get("status", ""))) is not None:
            names.append((key, entry["reason"]))
    report.rows, report.own, report.deleted = len(rows), rows.own, rows.deleted
    report.flagged, report.flags = rows.flagged()
