"""Cut a folder of recordings into a folder of clips: each recording once, several in parallel."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from vtune import audio
from vtune.dataset.sources.recordings import Recordings
from vtune.errors import DataError
from vtune.ingest.prepare.clip_names import free_stem
from vtune.ingest.prepare.cut_records import CONTENT_DIGITS, RECORDS_FOLDER, CutRecord, CutRecords
from vtune.ingest.prepare.recording import prepare_recording
from vtune.ingest.prepare.report import PrepareReport, write_report
from vtune.ingest.prepare.settings import CutSettings
from vtune.runtime.paths import exclusive_access, sweep
from vtune.runtime.progress import track
from vtune.runtime.workers import WorkerPool

logger = logging.getLogger(__name__)


def prepare_folder(source: Path, out: Path, settings: CutSettings, processes: int | None = None) -> PrepareReport:
    """Cut one recording, or every recording in a folder and its subfolders, into clips in another folder.

    Recordings that were cut before with the same settings are kept, so a killed run continues when it is repeated.

    :param processes: recordings in parallel; default: one per core.
    :raises DataError: there is nothing to cut, or the folder for the clips is the folder of the recordings.
    """
    paths = list(recordings_of(source, out))
    out.mkdir(parents=True, exist_ok=True)
    with exclusive_access(out, "another run is writing clips into it"):
        sweep(out)
        (out / RECORDS_FOLDER).mkdir(exist_ok=True)
        records = CutRecords(out)
        done, pending = _done_and_pending(paths, records, settings)
        report = PrepareReport(done_before=sum(bool(record.stem) for record in done))
        cut = _cut_recordings(pending, out, settings, processes)
        for record in track(cut, "cutting recordings", len(pending), "recordings"):
            records.write(record)
            done.append(record)
        for record in sorted(done, key=lambda record: record.recording):
            report.add(record)
        write_report(out, report, [*(record for record in done if not record.stem), *records])
    return report


def _done_and_pending(
    paths: Sequence[tuple[str, str | None]], records: CutRecords, settings: CutSettings
) -> tuple[list[CutRecord], list[CutRecord]]:
    """Return the finished records and the pending ones.

    A finished recording was cut before, or is not usable; a record without a stem is not usable.
    """
    done: list[CutRecord] = []
    pending: list[CutRecord] = []
    path_of_digest: dict[str, str] = {}
    for path, problem in paths:
        try:
            digest = "" if problem else audio.digest_of(Path(path))
        except DataError as error:
            digest, problem = "", str(error)
        if problem is None and digest in path_of_digest:
            problem = f"{path} is the same recording as {path_of_digest[digest]}"
        if problem is not None:
            done.append(CutRecord(path, "", "", True, reason=problem))
            continue
        path_of_digest[digest] = path
        key = f"{digest[:CONTENT_DIGITS]}{settings.key}"
        former = records.find(path, key)
        improvable = former is not None and former.needs_network and settings.has_network
        if former is not None and former.key == key and records.is_complete(former) and not improvable:
            if former.recording != path:  # it was moved
                former = replace(former, recording=path)
                records.write(former)
            done.append(former)
            continue
        stem = former.stem if former else free_stem(Path(path).stem, digest, records.used_stems)
        pending.append(CutRecord(path, key, stem))
        records.begin(pending[-1])
    return done, pending


def recordings_of(source: Path, out: Path) -> Iterator[tuple[str, str | None]]:
    """Yield ``(path, problem)`` of each recording of a source, without the files in the folder of the clips.

    :raises DataError: there is nothing to cut, or the folder for the clips is the folder of the recordings.
    """
    if source.is_file():
        if _is_inside(source.parent, out) and _is_inside(out, source.parent):
            raise DataError(f"{out} is the folder of the recording; name another folder for the clips")
        yield str(source), None
        return
    if not source.is_dir():
        fault = "is neither a folder nor a plain file" if os.path.lexists(source) else "does not exist"
        raise DataError(f"{source} {fault}")
    if _is_inside(source, out):
        raise DataError(f"{out} is the folder of the recordings; name another folder for the clips")
    any_found = False
    for path, problem in Recordings(source).rest():
        if not _is_inside(Path(path).parent, out):
            any_found = True
            yield path, problem
    if not any_found:
        raise DataError(f"{source} contains no recordings ({', '.join(sorted(audio.SUFFIXES))})")


def _is_inside(path: Path, folder: Path) -> bool:
    real = os.path.realpath(folder)
    return os.path.commonpath([os.path.realpath(path), real]) == real


def _cut_recordings(
    pending: Sequence[CutRecord], out: Path, settings: CutSettings, processes: int | None
) -> Iterator[CutRecord]:
    """Yield the finished record of each recording, in the order in which they finish."""
    count = min(processes or os.cpu_count() or 1, len(pending))
    if count <= 1:
        yield from (prepare_recording(record, out, settings) for record in pending)
        return
    remaining = {record.stem: record for record in pending}
    with WorkerPool(count) as pool:
        futures = [pool.submit(prepare_recording, record, out, settings) for record in pending]
        try:
            for future in as_completed(futures):
                record = future.result()
                del remaining[record.stem]
                yield record
        except BrokenProcessPool:
            logger.warning("a cutting process was killed; cutting the other %d recordings one by one", len(remaining))
    for record in remaining.values():
        yield _cut_in_own_process(record, out, settings)


def _cut_in_own_process(record: CutRecord, out: Path, settings: CutSettings) -> CutRecord:
    """Cut one recording in its own process, so that only this process dies if the recording kills it."""
    with WorkerPool(1) as pool:
        try:
            return pool.submit(prepare_recording, record, out, settings).result()
        except BrokenProcessPool:
            problem = "killed the process that read it: the file is damaged, or there is too little memory"
            return replace(record, done=True, reason=f"{record.recording} {problem}")
