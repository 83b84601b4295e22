"""The backend of this process: each base speaks on a thread of its own."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from vtune.errors import VtuneError
from vtune.serve.backend import BackendLoad, SynthesisRequest
from vtune.serve.failures import VoiceBrokenError
from vtune.serve.options import base_key
from vtune.serve.queue import Job, Preload, listen
from vtune.serve.registry import RequestedVoice
from vtune.serve.scheduler import Scheduler
from vtune.serve.settings import ServeSettings
from vtune.serve.shared_base import SharedBase
from vtune.types import Audio

THREAD_END_SECONDS = 5.0
"""Seconds that the current piece has to finish when the server ends."""


class InProcessBackend:
    """Speaks with any engine; see ``vtune.serve.backend.Backend``.

    :param device: the device of every base.
    :param options: engine options of every voice on this server; they replace those of the training.
    """

    def __init__(self, settings: ServeSettings, device: str = "auto", options: Mapping[str, Any] | None = None) -> None:
        self._settings, self._device, self._options = settings, device, options or {}
        self._scheduler = Scheduler(self._open_base, settings)
        self._preload = Preload()

    def speak(self, request: SynthesisRequest) -> AsyncGenerator[Audio, None]:
        """Yield sound while it is made."""
        return listen(self, request, self._settings.longest_wait)

    def submit(self, job: Job) -> None:
        """Queue a job for its voice's base. :raises VtuneError: there is no such base, or too many jobs wait for it."""
        try:
            key = base_key(job.request.voice, self._options)
        except VtuneError as error:
            raise VoiceBrokenError(str(error)) from error
        self._scheduler.submit(job, key)

    def leave(self, job: Job) -> None:
        """Drop a job whose client has gone."""
        self._scheduler.leave(job)

    def withdraw(self, job: Job) -> bool:
        """Drop a job if it still waits; return whether it did."""
        return self._scheduler.withdraw(job)

    def prepare(self, voice: RequestedVoice) -> None:
        """Begin to load a voice."""
        job = self._preload.job(voice)
        try:
            self.submit(job)
        except VtuneError as error:
            job.give(error)

    def load(self) -> BackendLoad:
        """Return how busy the backend is."""
        return self._scheduler.load()

    def missing(self) -> list[str]:
        """Return what is missing before the backend can speak."""
        return self._preload.missing(self.load().voices)

    def failure(self) -> VtuneError | None:
        """Return None: a base that cannot be loaded is tried again at the next request for it."""
        return None

    def drain(self) -> None:
        """Refuse the requests that wait."""
        self._scheduler.drain()

    def kill(self) -> None:
        """Do nothing: threads end with the process."""

    def close(self) -> None:
        """Free every base."""
        self._scheduler.close(THREAD_END_SECONDS)

    def _open_base(self, request: SynthesisRequest) -> SharedBase:
        gc.collect()  # a freed network is in reference cycles, and the old and the new one would not fit into memory
        return SharedBase(request.voice, self._device, self._options, self._settings.adapters)
