"""Transcribe a folder of recordings into a table. A run can be resumed, and the user's own changes are kept."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vtune import audio
from vtune.contract.recognisers import Recogniser
from vtune.dataset.sources.own_files import JOURNAL_SUFFIX
from vtune.dataset.sources.recordings import Recordings
from vtune.errors import DataError, printable
from vtune.ingest.transcribe.backends import find_backend
from vtune.ingest.transcribe.journal import Journal
from vtune.ingest.transcribe.journal_entries import finite_number, unreadable_entry, update_flags
from vtune.ingest.transcribe.number_words import missing_rules
from vtune.ingest.transcribe.numerals import numerals_in
from vtune.ingest.transcribe.recognise_share import TASK_CLIPS, PendingClip, RecogniseShare
from vtune.ingest.transcribe.report import TranscribeReport
from vtune.ingest.transcribe.table_names import name_in_table
from vtune.ingest.transcribe.transcript_rows import TranscriptRows
from vtune.recipe.data_sections import OWN_RECOGNISERS, TranscribeRecipe
from vtune.runtime import signals
from vtune.runtime.distributed.rank_pool import ALONE, RankPool
from vtune.runtime.paths import exclusive_access
from vtune.runtime.progress import ProgressBar
from vtune.toolkit.hub import hash_file

TABLE_NAME = "transcript.csv"
"""Name of the table if the user names no other."""

WORDS_VERSION = 2
"""Increase this number whenever the same recogniser would write other words for the same recording."""


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
    pool: RankPool = ALONE,
) -> TranscribeReport:
    """Transcribe every recording in a folder and its subfolders into a table.

    A killed run continues when it is repeated, and rows that the user changed stay as they are.

    :param output: the table; default: ``transcript.csv`` in the folder. Its journal (``.heard.jsonl``) lies beside it.
    :param limit: most recordings that this run recognises.
    :param recogniser: used instead of the recogniser that the settings name.
    :param pool: the ranks that recognise; the main process calls this function inside ``pool.lead``.
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
        run.journal.absorb_ranks()  # of a launch that was killed
        pending = _pending_clips(run, {key: problem for key, (_, problem) in problem_of.items()})
        report.left = max(0, len(pending) - (limit or len(pending)))
        share = RecogniseShare(settings, run.key, journal_path, recogniser)
        _transcribe_pending(run, pending[:limit], share, pool)
        run.journal.absorb_ranks()  # which removes them: the main process has all their entries
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
    if settings.backend not in OWN_RECOGNISERS:
        parts.append(find_backend(settings.backend).version)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _pending_clips(run: _TranscribeRun, problems: dict[str, str | None]) -> list[PendingClip]:
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
            pending.append(PendingClip(key, path, name, digest, entries.get(key)))
    return pending


def _transcribe_pending(
    run: _TranscribeRun, clips: Sequence[PendingClip], share: RecogniseShare, pool: RankPool
) -> None:
    tasks = [clips[start : start + TASK_CLIPS] for start in range(0, len(clips), TASK_CLIPS)]
    if pool.world_size > 1:
        tasks.sort(key=lambda task: -sum(audio.stated_seconds(Path(clip.path)) for clip in task))
    started = time.monotonic()
    with ProgressBar("transcribing recordings", len(clips), "recordings") as progress:
        for batch in pool.map(share, tasks):
            with signals.deferred():
                run.journal.add(batch.entries)
            run.report.heard += batch.heard
            run.report.heard_seconds += batch.seconds
            progress.advance(len(batch.entries))
    run.report.took = time.monotonic() - started - share.loading_seconds


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
