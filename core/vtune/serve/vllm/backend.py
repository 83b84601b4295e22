"""The backend for vLLM: a thread for each request that speaks, which mostly waits for tokens."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator, Generator, Hashable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from vtune.engines import Engine
from vtune.errors import VoiceError, VtuneError
from vtune.serve.backend import BackendLoad, SynthesisRequest
from vtune.serve.failures import StoppingError, UpstreamAwayError, UpstreamError, VoiceBrokenError
from vtune.serve.options import base_key, sampling_of, streaming_defaults
from vtune.serve.queue import Job, JobQueue, Preload, listen
from vtune.serve.registry import RequestedVoice, read_current
from vtune.serve.settings import ServeSettings
from vtune.serve.streaming import ClientGoneError
from vtune.serve.vllm.adapters import Adapters
from vtune.serve.vllm.bases import require_base, served_bases
from vtune.serve.vllm.client import VllmClient, VllmRefusalError, upstream_error_of
from vtune.serve.vllm.watch import WatchedServer
from vtune.types import Audio, Conditioning, SamplingRequest
from vtune.voice_format.record import read_conditioning
from vtune.voices.speech import open_base

THREAD_END_SECONDS = 5.0
"""Seconds that threads have to end when the server ends."""


@dataclass(frozen=True, slots=True)
class _ServerLink:
    """One server between two starts: its client, the paths or ids of its bases, and its adapters."""

    client: VllmClient
    served: list[str]
    adapters: Adapters


class VllmBackend:
    """Speaks with voices of one base on a vLLM server; see ``vtune.serve.backend.Backend``.

    Code of an engine never runs on two threads at once: a lock is held while it runs, and released while a token is
    awaited.

    :param server: the server, which is watched, and ends with vtune if vtune started it.
    :param device: the device of the codec, if the engine puts the codec on the device of the network.
    :param options: engine options of every voice on this server; they replace those of the training.
    """

    def __init__(
        self,
        server: WatchedServer,
        settings: ServeSettings,
        device: str = "auto",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._server, self._settings, self._device, self._options = server, settings.vllm, device, options or {}
        self._link: _ServerLink | None = None
        self._link_lock = threading.Lock()
        self._first: list[RequestedVoice] = []
        self._longest_wait = settings.longest_wait
        self._bases: dict[Hashable, tuple[Engine, Any]] = {}
        self._turn = threading.Lock()
        self._preload = Preload()
        self._queue = JobQueue(settings.waiting, settings.vllm.at_once)
        self._threads = [
            threading.Thread(target=self._run, name=f"vtune-speaks-{number}", daemon=True)
            for number in range(settings.vllm.at_once)
        ]
        for thread in self._threads:
            thread.start()
        server.watch(self._load_first)

    def speak(self, request: SynthesisRequest) -> AsyncGenerator[Audio, None]:
        """Yield sound while it is made. :raises VtuneError: vLLM cannot speak with this voice."""
        if request.voice.is_mix:
            raise VoiceError(
                "this server speaks through vLLM, which cannot mix; 'vtune mix ... --name NAME' writes a mix as a voice"
            )
        request.voice.engine.require_sampler()
        return listen(self, request, self._longest_wait)

    def prepare(self, voice: RequestedVoice) -> None:
        """Begin to load a voice, now and after each restart of the server."""
        self._first.append(voice)
        with suppress(UpstreamAwayError):
            self._server.client()
            self._load(voice)

    def load(self) -> BackendLoad:
        """Return how busy the backend is."""
        return BackendLoad(
            len(self._queue), self._queue.taken, len(self._bases), len(self._link.adapters) if self._link else 0
        )

    def missing(self) -> list[str]:
        """Return what is missing before the backend can speak."""
        why = self._server.missing()
        return [why] if why else self._preload.missing(self.load().voices)

    def failure(self) -> VtuneError | None:
        """Return the error after which the backend never speaks again."""
        return self._server.failure()

    def drain(self) -> None:
        """Refuse the requests that wait."""
        self._queue.drain()

    def kill(self) -> None:
        """End the server at once, if vtune started it."""
        self._server.kill()

    def close(self) -> None:
        """End the threads, and the server if vtune started it."""
        self._queue.close()
        for job in self._queue.rest():
            job.give(StoppingError())
        self._server.close()
        end = time.monotonic() + THREAD_END_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def submit(self, job: Job) -> None:
        """Queue a job. :raises BusyError: too many jobs wait."""
        self._queue.add(job)

    def withdraw(self, job: Job) -> bool:
        """Drop a job if it still waits; return whether it was dropped."""
        return self._queue.remove(job)

    def leave(self, job: Job) -> None:
        """Drop a job whose client is gone, at once."""
        job.left.set()
        self._queue.remove(job)
        job.stop()

    def _run(self) -> None:
        while (job := self._queue.take(wait=True)) is not None:
            started, outcome = time.monotonic(), None
            try:
                with closing(self._say(job)) as pieces:
                    for piece in pieces:
                        job.give(piece)
                        if job.left.is_set():
                            break
            except BaseException as error:  # any error of an engine belongs to the request, and the thread goes on
                outcome = error
            job.seconds = time.monotonic() - started
            self._queue.finish(job, well=outcome is None)
            job.give(outcome)

    def _say(self, job: Job) -> Generator[Audio, None, None]:
        try:
            link = self._linked()
            voice, (engine, base, sampling, conditioning) = read_current(
                job.request.voice, self._options, partial(self._read, link)
            )
        except (UpstreamError, VoiceBrokenError):
            raise
        except VtuneError as error:
            raise VoiceBrokenError(str(error)) from error
        job.request = request = replace(job.request, voice=voice)
        if not request.text:
            return
        draw = partial(self._draw, job, link)
        with self._turn:
            pieces = engine.synthesize_from_sampler(
                base, draw, request.text, conditioning, request.seed, {**sampling, **request.sampling}
            )
        try:
            while True:
                with self._turn:
                    piece = next(pieces, None)
                if piece is None:
                    return
                yield piece
        finally:
            with self._turn:
                getattr(pieces, "close", lambda: None)()  # an iterator need not be a generator

    def _read(self, link: _ServerLink, voice: RequestedVoice) -> tuple[Engine, Any, dict[str, Any], Conditioning]:
        """Return engine, base, sampling options and conditioning of a voice, whose adapter is then on the server."""
        require_base(voice, link.served, self._options)
        with self._turn:
            engine, base = self._base(voice)
            sampling = sampling_of(engine, voice.record, streaming_defaults(voice, self._options))
            conditioning = read_conditioning(voice.parts[0].folder.conditioning)
        link.adapters.model_of(voice)
        return engine, base, sampling, conditioning

    def _draw(self, job: Job, link: _ServerLink, sampling_request: SamplingRequest) -> Generator[int, None, None]:
        """Yield token ids; the engine calls this, so the lock is held."""
        with _released(self._turn):
            chunks = self._chunks(job, link, sampling_request)
            following = next(chunks, None)
        try:
            while following is not None:
                yield from following
                with _released(self._turn):
                    following = next(chunks, None)
        finally:
            chunks.close()

    def _chunks(
        self, job: Job, link: _ServerLink, sampling_request: SamplingRequest
    ) -> Generator[list[int], None, None]:
        voice = job.request.voice
        for last in (False, True):
            try:
                yield from self._sampled(job, link, sampling_request)
                return
            except VllmRefusalError as error:
                if error.status != 404:
                    raise upstream_error_of(error) from error
                why = link.adapters.missing(voice)
                if why:
                    raise VoiceBrokenError(f"{error}; vLLM did not load the voice: {why}") from error
                if last:
                    raise upstream_error_of(error) from error
                # The server was restarted in the meantime, and has no voices yet.

    def _sampled(self, job: Job, link: _ServerLink, sampling_request: SamplingRequest) -> Iterator[list[int]]:
        model = link.adapters.model_of(job.request.voice)
        with closing(link.client.draw(model, sampling_request)) as drawn:
            job.stop = drawn.break_off
            try:
                # Checked after `job.stop` is set: a leaving client sets `left` first, and then calls `stop`.
                if job.left.is_set():
                    raise ClientGoneError
                yield from drawn.ids()
            except UpstreamError as error:
                raise (ClientGoneError if job.left.is_set() else error) from error
        if job.left.is_set():
            raise ClientGoneError

    def _load_first(self) -> None:
        for voice in list(self._first):
            self._load(voice)

    def _load(self, voice: RequestedVoice) -> None:
        job = self._preload.job(voice)
        try:
            self.submit(job)
        except VtuneError as error:
            job.give(error)

    def _linked(self) -> _ServerLink:
        """Return the current server. :raises UpstreamError: the server does not answer."""
        client = self._server.client()
        with self._link_lock:
            if self._link is None or self._link.client is not client:
                self._link = _ServerLink(client, served_bases(client), Adapters(client, self._settings))
            return self._link

    def _base(self, voice: RequestedVoice) -> tuple[Engine, Any]:
        key = base_key(voice, self._options)
        if key not in self._bases:
            self._bases[key] = open_base(voice.record, self._device, options=streaming_defaults(voice, self._options))
        return self._bases[key]


@contextmanager
def _released(lock: threading.Lock) -> Iterator[None]:
    lock.release()
    try:
        yield
    finally:
        lock.acquire()
