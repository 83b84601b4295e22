"""Cut a folder of recordings into a folder of clips: each recording once, several in parallel."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vtune import audio
from vtune.dataset.sources.recordings import Recordings
from vtune.errors import DataError
from vtune.ingest.prepare.clip_names import free_stem
from vtune.ingest.prepare.cut_records import CONTENT_DIGITS, RECORDS_FOLDER, CutRecord, CutRecords
from vtune.ingest.prepare.cut_share import CutShare
from vtune.ingest.prepare.report import PrepareReport, write_report
from vtune.ingest.prepare.settings import CutSettings
from vtune.runtime.distributed.rank_pool import ALONE, RankPool
from vtune.runtime.distributed.shared_files import await_files
from vtune.runtime.paths import exclusive_access, sweep
from vtune.runtime.progress import track
from vtune.runtime.workers import cores_per_rank


def prepare_folder(
    source: Path, out: Path, settings: CutSettings, processes: int | None = None, pool: RankPool = ALONE
) -> PrepareReport:
    """Cut one recording, or every recording in a folder and its subfolders, into clips in another folder.

    Recordings that were cut before with the same settings are kept, so a killed run continues when it is repeated.

    :param processes: recordings in parallel in each rank; default: one per core.
    :param pool: the ranks that cut; the main process calls this function inside ``pool.lead``.
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
        # The longest recording first: if it came last, all other processes would wait for its end.
        pending.sort(key=lambda record: -audio.stated_seconds(Path(record.recording)))
        processes = min(processes or cores_per_rank(), -(-len(pending) // pool.world_size))
        cut = pool.map(CutShare(out, settings, processes), pending)
        for record in track(cut, "cutting recordings", len(pending), "recordings"):
            records.keep(record)
            done.append(record)
        if pool.world_size > 1:  # the next step lists the folder
            await_files(out / str(span.clip) for record in done for span in record.clips)
        for record in sorted(done, key=lambda record: record.recording):
            report.add(record)
        write_report(out, report, [*(record for record in done if not record.stem), *records])
    return report


def _done_and_pending(
    paths: Sequence[tuple[str, str | None]], records: CutRecords, settings: CutSettings
) -> tuple[list[CutRecord], list[CutRecord]]:
    """Return the finished records, and the records of the recordings that must be cut, as they were begun.

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
        pending.append(records.begin(CutRecord(path, key, stem)))
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
