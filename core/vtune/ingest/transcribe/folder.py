"""Transcribe a folder of recordings into a table. A run can be resumed, and the user's own changes are kept."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vtune import audio
from vtune.dataset.sources.own_files import JOURNAL_SUFFIX
from vtune.dataset.sources.recordings import Recordings
from vtune.errors import DataError, printable
from vtune.ingest.transcribe.backends import open_recogniser
from vtune.ingest.transcribe.journal import Journal
from vtune.ingest.transcribe.journal_entries import (
    JournalEntry,
    carry_over,
    finite_number,
    make_entry,
    unreadable_entry,
    update_flags,
)
from vtune.ingest.transcribe.number_words import missing_rules
from vtune.ingest.transcribe.numerals import numerals_in
from vtune.ingest.transcribe.recogniser import RECOGNISER_SAMPLE_RATE, Recogniser
from vtune.ingest.transcribe.recognition import RecognitionResult, recognise_recordings
from vtune.ingest.transcribe.report import TranscribeReport
from vtune.ingest.transcribe.table_names import name_in_table
from vtune.ingest.transcribe.transcript_rows import TranscriptRows
from vtune.recipe.model import TranscribeRecipe
from vtune.runtime import signals
from vtune.runtime.paths import exclusive_access
from vtune.runtime.progress import ProgressBar
from vtune.toolkit.hub import hash_file
from vtune.types import Waveform

TABLE_NAME = "transcript.csv"
"""Name of the table if the user names no other."""

WORDS_VERSION = 2
"""Increase this number whenever the same recogniser would write other words for the same recording."""


@dataclass(frozen=True, slots=True)
class _PendingClip:
    key: str
    path: str
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class _TranscribeRun:
    """The inputs and the report of one run over one folder.

    :param key: hash of the settings.
    :param paths: path of each recording, by its key in the journal.
    """

    folder: Path
    table: Path
    settings: TranscribeRecipe
    key: str
    recordings: Recordings
    paths: dict[str, str]
    journal: Journal
    report: TranscribeReport

    def rows(self) -> TranscriptRows:
        """Read the table as it is now on disk."""
        return TranscriptRows(self.table, self.recordings, self.paths)


def transcribe_folder(
    folder: Path,
    settings: TranscribeRecipe,
    output: Path | None = None,
    *,
    limit: int | None = None,
    recogniser: Recogniser | None = None,
) -> TranscribeReport:
    """Transcribe every recording in a folder and its subfolders into a table.

    A killed run continues when it is repeated, and rows that the user changed stay as they are.

    :param output: the table; default: ``transcript.csv`` in the folder. Its journal (``.heard.jsonl``) lies beside it.
    :param limit: most recordings that this run recognises.
    :param recogniser: used instead of the recogniser that the settings name.
    :raises DataError: the folder does not exist or has no recordings, or the table cannot be read; it stays unchanged.
    :raises VtuneError: the recogniser cannot be loaded or fails, or another run is writing the table.
    """
    folder, table = Path(folder), Path(output or Path(folder) / TABLE_NAME)
    if not folder.is_dir():
        raise DataError(f"{printable(str(folder))} is not a folder; name a folder with recordings")
    if table.suffix.lower() != ".csv" or table.is_dir():
        raise DataError(f"the output must be a file that ends in .csv, but it is {printable(str(table))}")
    recordings = Recordings(folder)
    problem_of = {os.path.relpath(path, folder): (path, problem) for path, problem in recordings.rest()}
    if not problem_of:
        raise DataError(f"{printable(str(folder))} contains no recordings ({', '.join(sorted(audio.SUFFIXES))})")
    table.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_access(table, "another run is writing it"):
        journal_path = table.with_suffix(JOURNAL_SUFFIX)
        report = TranscribeReport(table, journal_path, recordings=len(problem_of))
        paths = {key: path for key, (path, _) in problem_of.items()}
        run = _TranscribeRun(
            folder, table, settings, settings_key(settings), recordings, paths, Journal(journal_path), report
        )
        _transcribe_pending(
            run, _pending_clips(run, {key: problem for key, (_, problem) in problem_of.items()}), limit, recogniser
        )
        update_flags(run.journal.entries, list(problem_of), settings.language)
        rows = run.rows()  # recognition may have taken hours, and the user may have edited the table
        rows.merge(run.journal.entries)
        run.journal.rewrite(problem_of)
        _fill_report(run, rows)
    return report


def settings_key(settings: TranscribeRecipe) -> str:
    """Return the hash of the settings that the words depend on, 16 digits; a model file counts by its content."""
    path = Path(settings.model).expanduser()
    model = hash_file(path) if path.is_file() else settings.model
    parts = [WORDS_VERSION, settings.backend, model, settings.language, settings.numbers]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _pending_clips(run: _TranscribeRun, problems: dict[str, str | None]) -> list[_PendingClip]:
    """Return the recordings that must be recognised; note in the journal those that cannot be read."""
    rows, entries, pending = run.rows(), run.journal.entries, []
    for key, problem in problems.items():
        if problem is None and rows.is_foreign(key, entries.get(key)):
            continue
        path = run.paths[key]
        try:
            if problem is not None:
                raise DataError(problem)
            digest, name = audio.digest_of(Path(path)), name_in_table(path, run.folder, run.table, run.recordings)
        except DataError as error:
            entries[key] = unreadable_entry(entries.get(key), key, str(error))
            continue
        if not rows.is_up_to_date(key, entries.get(key), digest, run.key):
            pending.append(_PendingClip(key, path, name, digest))
    return pending


def _transcribe_pending(
    run: _TranscribeRun, pending: list[_PendingClip], limit: int | None, recogniser: Recogniser | None
) -> None:
    journal, report, clips = run.journal, run.report, pending[:limit]
    report.left = len(pending) - len(clips)
    started, loading = time.monotonic(), 0.0

    def open_it() -> Recogniser:
        nonlocal loading
        loading_started = time.monotonic()
        opened_recogniser = recogniser or open_recogniser(run.settings)
        loading = time.monotonic() - loading_started
        return opened_recogniser

    def entry(clip: _PendingClip, result: RecognitionResult) -> JournalEntry:
        new_entry = make_entry(clip.key, clip.name, clip.digest, result, run.settings, run.key)
        return carry_over(journal.entries.get(clip.key), new_entry)

    with ProgressBar("transcribing recordings", len(clips), "recordings") as progress:
        for batch in recognise_recordings(((clip, _reader(clip.path)) for clip in clips), open_it):
            with signals.deferred():
                journal.add([entry(clip, result) for clip, result in batch])
            report.heard += sum(result.status != "unreadable" for _, result in batch)
            report.heard_seconds += sum(result.seconds for _, result in batch)
            progress.advance(len(batch))
    report.took = time.monotonic() - started - loading


def _reader(path: str) -> Callable[[], Waveform]:
    return lambda: audio.read(Path(path), RECOGNISER_SAMPLE_RATE)


def _why_numerals_stay(settings: TranscribeRecipe) -> str:
    if settings.numbers == "digits":
        return "transcribe.numbers is 'digits'"
    language = "en" if settings.language == "auto" else settings.language
    return missing_rules(language) or "neither the recogniser nor the rules of the language know their words"


def _fill_report(run: _TranscribeRun, rows: TranscriptRows) -> None:
    report = run.report
    lists = {"empty": report.empty, "unreadable": report.unreadable}
    for key in run.paths:
        entry = run.journal.entries.get(key, {})
        report.seconds += finite_number(entry.get("seconds")) or 0.0
        if entry.get("status") == "transcribed":
            report.written_out += bool(entry.get("written_out"))
            report.numerals += numerals_in(entry["text"])
        if (reasons := lists.get(entry.get("status", ""))) is not None:
            reasons.append((key, entry["reason"]))
    report.numerals_why = _why_numerals_stay(run.settings)
    report.rows, report.own, report.deleted = len(rows), rows.own, rows.deleted
    report.flagged, report.flags = rows.flagged()
