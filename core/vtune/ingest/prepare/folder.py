"""A folder of recordings to a folder of clips: each recording once, several at a time."""

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
from vtune.ingest.prepare.names import free_stem
from vtune.ingest.prepare.recording import prepare_recording
from vtune.ingest.prepare.records import CONTENT_DIGITS, FOLDER, Record, Records
from vtune.ingest.prepare.report import Report, write_report
from vtune.ingest.prepare.settings import Cutting
from vtune.runtime.paths import alone, sweep
from vtune.runtime.progress import track
from vtune.runtime.workers import WorkerPool

logger = logging.getLogger(__name__)


def prepare_folder(source: Path, out: Path, cutting: Cutting, processes: int | None = None) -> Report:
    """Cut every recording in and below a folder, or one recording, into clips in another folder.

    What was cut before under the same settings is left as it is; killed at any moment and run again, it goes on.

    :param processes: recordings at a time; default: one a core.
    :raises DataError: there is nothing to cut, or the folder for the clips is that of the recordings.
    """
    paths = list(recordings_of(source, out))
    out.mkdir(parents=True, exist_ok=True)
    with alone(out, "another run is cutting into it"):
        sweep(out)
        (out / FOLDER).mkdir(exist_ok=True)
        records = Records(out)
        done, todo = _sorted_out(paths, records, cutting)
        report = Report(done_before=sum(bool(record.stem) for record in done))
        cut = _prepared(todo, out, cutting, processes)
        for record in track(cut, "cutting", len(todo), "recordings"):
            records.write(record)
            done.append(record)
        for record in sorted(done, key=lambda one: one.recording):
            report.add(record)
        write_report(out, report, [*(record for record in done if not record.stem), *records])
    return report


def _sorted_out(
    paths: Sequence[tuple[str, str | None]], records: Records, cutting: Cutting
) -> tuple[list[Record], list[Record]]:
    """Tell recordings that are done, cut before or not usable (those have no stem), from those to be cut."""
    done: list[Record] = []
    todo: list[Record] = []
    firsts: dict[str, str] = {}
    for path, problem in paths:
        try:
            digest = "" if problem else audio.digest_of(Path(path))
        except DataError as error:
            digest, problem = "", str(error)
        if problem is None and digest in firsts:
            problem = f"{path} is the same recording as {firsts[digest]}"
        if problem is not None:
            done.append(Record(path, "", "", True, reason=problem))
            continue
        firsts[digest] = path
        key = f"{digest[:CONTENT_DIGITS]}{cutting.key}"
        former = records.of(path, key)
        if former is not None and former.key == key and records.stands(former):
            if former.recording != path:  # it was moved
                former = replace(former, recording=path)
                records.write(former)
            done.append(former)
            continue
        stem = former.stem if former else free_stem(Path(path).stem, digest, records.taken)
        todo.append(Record(path, key, stem))
        records.begin(todo[-1])
    return done, todo


def recordings_of(source: Path, out: Path) -> Iterator[tuple[str, str | None]]:
    """Yield path and problem of each recording of a source; what lies in the folder of the clips is none.

    :raises DataError: there is nothing to cut, or the folder for the clips is that of the recordings.
    """
    if source.is_file():
        if _inside(source.parent, out) and _inside(out, source.parent):
            raise DataError(f"{out} holds the recording itself; name another folder for the clips")
        yield str(source), None
        return
    if not source.is_dir():
        what = "is neither a folder nor a plain file" if os.path.lexists(source) else "does not exist"
        raise DataError(f"{source} {what}")
    if _inside(source, out):
        raise DataError(f"{out} holds the recordings themselves; name another folder for the clips")
    found = False
    for path, problem in Recordings(source).rest():
        if not _inside(Path(path).parent, out):
            found = True
            yield path, problem
    if not found:
        raise DataError(f"{source} has no recordings ({', '.join(sorted(audio.SUFFIXES))})")


def _inside(path: Path, folder: Path) -> bool:
    real = os.path.realpath(folder)
    return os.path.commonpath([os.path.realpath(path), real]) == real


def _prepared(todo: Sequence[Record], out: Path, cutting: Cutting, processes: int | None) -> Iterator[Record]:
    """Yield what became of each recording, as they get done."""
    count = min(processes or os.cpu_count() or 1, len(todo))
    if count <= 1:
        yield from (prepare_recording(record, out, cutting) for record in todo)
        return
    left = {record.stem: record for record in todo}
    with WorkerPool(count) as pool:
        futures = [pool.submit(prepare_recording, record, out, cutting) for record in todo]
        try:
            for future in as_completed(futures):
                record = future.result()
                del left[record.stem]
                yield record
        except BrokenProcessPool:
            logger.warning("a process was killed while cutting; %d recordings are tried one by one", len(left))
    for record in left.values():
        yield _alone(record, out, cutting)


def _alone(record: Record, out: Path, cutting: Cutting) -> Record:
    """Cut one recording in a process of its own, which may die of it."""
    with WorkerPool(1) as pool:
        try:
            return pool.submit(prepare_recording, record, out, cutting).result()
        except BrokenProcessPool:
            reason = f"{record.recording} killed the process that read it: broken beyond reading, or too little memory"
            return replace(record, done=True, reason=reason)
