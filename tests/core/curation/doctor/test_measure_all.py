from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from rank_threads import on_ranks, rank_of_thread

from vtune.curation.doctor.measure_all import MeasureResult, measure_all
from vtune.curation.doctor.recording_openers import FileOpener, OpenRecording
from vtune.errors import DataError


def plain(result: MeasureResult) -> str:
    """Return all fields as text."""
    return json.dumps(dataclasses.asdict(result), default=lambda field: getattr(field, "tolist", field.__repr__)())


def test_two_ranks_measure_what_one_measures(
    folder: Callable[..., Path], clip: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that the second rank sees late is measured by the main process."""
    rows = [(f"c{number}", utterance, "words") for number, utterance in enumerate(map(clip, range(20)))]
    names = [str(path) for path in sorted((folder(rows) / "clips").iterdir())]
    measured_by: dict[int, int] = {}
    opened, both_work = FileOpener.opened, threading.Event()

    def late(self: FileOpener, name: str) -> AbstractContextManager[OpenRecording]:
        measured_by[rank_of_thread()] = measured_by.get(rank_of_thread(), 0) + 1
        if rank_of_thread() == 0:
            both_work.wait(20)
        both_work.set()
        if rank_of_thread() == 1 and measured_by[1] == 1:
            raise DataError(f"{name} does not exist")
        return opened(self, name)

    alone = measure_all(FileOpener(), names, 1)
    monkeypatch.setattr(FileOpener, "opened", late)
    together = on_ranks(2, lambda pool: pool.lead(lambda: measure_all(FileOpener(), names, 1, pool)))[0]
    assert together is not None
    assert [result.digest for result in together] == [result.digest for result in alone]
    assert [plain(result) for result in together] == [plain(result) for result in alone]
    assert sum(measured_by.values()) == 21
