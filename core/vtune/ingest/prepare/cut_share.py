"""Cut the recordings that one rank takes, several in parallel, and write the record of each when it is finished."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from vtune.ingest.prepare.cut_records import CutRecord, record_path, write_record
from vtune.ingest.prepare.recording import prepare_recording
from vtune.ingest.prepare.settings import CutSettings
from vtune.runtime.distributed.shared_files import await_files
from vtune.runtime.workers import WorkerPool

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CutShare:
    """Cuts recordings into a folder; see ``RankPool.map``.

    :param processes: recordings in parallel.
    """

    out: Path
    settings: CutSettings
    processes: int

    def __call__(self, begun: Iterator[CutRecord], rank: int) -> Iterator[CutRecord]:
        """Yield the finished record of each recording, in the order in which they finish.

        :param begun: records as ``CutRecords.begin`` wrote them.
        """
        if rank:
            begun = self._visible(begun)
        if self.processes <= 1:
            for record in begun:
                yield self._written(prepare_recording(_without_cuts(record), self.out, self.settings), record)
            return
        remaining: dict[str, CutRecord] = {}
        try:
            with WorkerPool(self.processes) as workers:
                futures: set[Future[CutRecord]] = set()
                for record in begun:
                    remaining[record.stem] = record
                    futures.add(workers.submit(prepare_recording, _without_cuts(record), self.out, self.settings))
                    if len(futures) > self.processes:
                        yield from self._finished(futures, remaining)
                while futures:
                    yield from self._finished(futures, remaining)
        except BrokenProcessPool:
            logger.warning("a cutting process was killed; cutting the other recordings one by one")
        for record in chain(list(remaining.values()), begun):
            yield self._written(_cut_in_own_process(_without_cuts(record), self.out, self.settings), record)

    def _visible(self, begun: Iterator[CutRecord]) -> Iterator[CutRecord]:
        """Yield the records after this machine sees their files, which the main process has seen."""
        for record in begun:
            await_files((record_path(self.out, record.stem), record.recording))
            yield record

    def _finished(self, futures: set[Future[CutRecord]], remaining: dict[str, CutRecord]) -> Iterator[CutRecord]:
        """Wait for a recording to finish, and yield the records of those that have."""
        for future in wait(futures, return_when=FIRST_COMPLETED).done:
            record = future.result()
            futures.remove(future)
            yield self._written(record, remaining.pop(record.stem))

    def _written(self, record: CutRecord, begun: CutRecord) -> CutRecord:
        write_record(self.out, record, begun)
        return record


def _without_cuts(begun: CutRecord) -> CutRecord:
    return replace(begun, cuts=[])


def _cut_in_own_process(record: CutRecord, out: Path, settings: CutSettings) -> CutRecord:
    """Cut one recording in its own process, so that only this process dies if the recording kills it."""
    with WorkerPool(1) as pool:
        try:
            return pool.submit(prepare_recording, record, out, settings).result()
        except BrokenProcessPool:
            problem = "killed the process that read it: the file is damaged, or there is too little memory"
            return replace(record, done=True, reason=f"{record.recording} {problem}")
