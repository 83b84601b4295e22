"""The back end of this process: each base speaks on a thread of its own."""

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
"""Seconds for a piece to be finished when the server is ended."""


class InProcessBackend:
    """Speaks with any engine; see ``vtune.serve.backend.Backend``.

    :param device: of every base.
    :param options: engine options that every voice has here, whatever it was trained with.
    """

    def __init__(self, settings: ServeSettings, device: str = "auto", options: Mapping[str, Any] | None = None) -> None:
        self._settings, self._device, self._options = settings, device, options or {}
        self._scheduler = Scheduler(self._open_base, settings)
        self._preload = Preload()

    def speak(self, request: SynthesisRequest) -> AsyncGenerator[Audio, None]:
        """Yield sound as it is ready."""
        return listen(self, request, self._settings.longest_wait)

    def submit(self, job: Job) -> None:
        """Let a job wait for its voice's base. :raises VtuneError: there is no such base, or too many wait for it."""
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
        """Say how busy it is."""
        return self._scheduler.load()

    def missing(self) -> list[str]:
        """Return what is missing before it can speak."""
        return self._preload.missing(self.load().voices)

    def failure(self) -> VtuneError | None:
        """Return None: a base that cannot be loaded is tried again when somebody asks for it."""
        return None

    def drain(self) -> None:
        """Refuse the requests that wait."""
        self._scheduler.drain()

    def kill(self) -> None:
        """Do nothing: threads end with the process."""

    def close(self) -> None:
        """Let every base go."""
        self._scheduler.close(THREAD_END_SECONDS)

    def _open_base(self, request: SynthesisRequest) -> SharedBase:
        gc.collect()  # a network that was let go holds itself in circles, and both would not fit into memory
        return SharedBase(request.voice, self._device, self._options, self._settings.adapters)
