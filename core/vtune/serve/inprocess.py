"""The back end of this process: each base speaks on a thread of its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, Hashable, Mapping
from typing import Any

from vtune.errors import VtuneError
from vtune.serve.backend import Load, Wanted
from vtune.serve.failures import BrokenError, BusyError
from vtune.serve.jobs import Preload, listen
from vtune.serve.options import base_key
from vtune.serve.registry import Chosen
from vtune.serve.settings import ServeSettings
from vtune.serve.shared import SharedBase
from vtune.serve.worker import Worker
from vtune.types import Audio

PATIENCE = 5.0
"""Seconds for a piece to be finished when the server is ended."""


class InProcess:
    """Speaks with any engine; see ``vtune.serve.backend.Backend``.

    :param device: of every base.
    :param options: engine options that every voice has here, whatever it was trained with.
    """

    def __init__(self, settings: ServeSettings, device: str = "auto", options: Mapping[str, Any] | None = None) -> None:
        self._settings, self._device, self._options = settings, device, options or {}
        self._workers: OrderedDict[Hashable, Worker] = OrderedDict()
        self._preload = Preload()

    def speak(self, wanted: Wanted) -> AsyncGenerator[Audio, None]:
        """Yield sound as it is ready."""
        return listen(self._worker(wanted), wanted)

    def prepare(self, voice: Chosen) -> None:
        """Begin to load a voice."""
        job = self._preload.job(voice)
        try:
            self._worker(job.wanted).submit(job)
        except VtuneError as error:
            job.give(error)

    def load(self) -> Load:
        """Say how busy it is."""
        workers = self._workers.values()
        return Load(
            sum(len(worker.line) for worker in workers),
            sum(worker.line.taken for worker in workers),
            len(workers),
            sum(worker.voices for worker in workers),
        )

    def missing(self) -> list[str]:
        """Return what is missing before it can speak."""
        return self._preload.missing(self.load().voices)

    def failure(self) -> VtuneError | None:
        """Return None: a base that cannot be loaded is tried again when somebody asks for it."""
        return None

    def drain(self) -> None:
        """Refuse the requests that wait."""
        for worker in self._workers.values():
            worker.line.drain()

    def kill(self) -> None:
        """Do nothing: threads end with the process."""

    def close(self) -> None:
        """Let every base go."""
        workers = list(self._workers.values())
        self._workers.clear()
        for worker in workers:
            worker.close()
        for worker in workers:
            worker.thread.join(PATIENCE)

    def _worker(self, wanted: Wanted) -> Worker:
        try:
            key = base_key(wanted.voice, self._options)
        except VtuneError as error:
            raise BrokenError(str(error)) from error
        if key not in self._workers:
            self._workers[key] = self._new_worker()
        self._workers.move_to_end(key)
        return self._workers[key]

    def _new_worker(self) -> Worker:
        settings, after = self._settings, None
        if len(self._workers) >= settings.bases:
            unused = next((key for key, worker in self._workers.items() if worker.line.idle), None)
            if unused is None:
                raise BusyError(10)
            gone = self._workers.pop(unused)
            gone.close()
            after = gone.thread
        return Worker(self._open_base, settings.turns, settings.waiting, after)

    def _open_base(self, wanted: Wanted) -> SharedBase:
        return SharedBase(wanted.voice, self._device, self._options, self._settings.adapters)
