"""Watch a vLLM server; a server that vtune started is restarted when it dies or hangs."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from vtune.errors import VtuneError, reason
from vtune.serve.failures import UpstreamAwayError
from vtune.serve.settings import VllmSettings
from vtune.serve.vllm.client import VllmClient
from vtune.serve.vllm.process import VllmProcess

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
UNWELL_CHECKS = 2
"""Checks in a row that must fail before a server counts as gone; a single check may fail under load."""
MAX_RESTART_WAIT_SECONDS = 60.0
MAX_RETRY_SECONDS = 120


class WatchedServer(Protocol):
    """A vLLM server and its state."""

    def watch(self, ready: Callable[[], None]) -> None:
        """Begin to watch the server; ``ready`` is called on another thread whenever it begins to serve."""
        ...

    def client(self) -> VllmClient:
        """Return the server's client, a new one after each start.

        :raises UpstreamAwayError: the server does not answer.
        """
        ...

    def missing(self) -> str:
        """Return what is missing before the server can be used; empty if nothing is."""
        ...

    def failure(self) -> VtuneError | None:
        """Return the error after which the server does not come back; None if there is none."""
        ...

    def kill(self) -> None:
        """End the server's processes at once, if vtune started it."""
        ...

    def close(self) -> None:
        """Stop watching the server, and end it if vtune started it."""
        ...


class ExternalServer:
    """Watches a server that vtune did not start; its ``/health`` decides whether it is used."""

    def __init__(self, client: VllmClient, settings: VllmSettings) -> None:
        self._client, self._interval = client, settings.health_interval_seconds
        self._is_away, self._closed = False, threading.Event()

    def watch(self, ready: Callable[[], None]) -> None:
        """Begin to watch the server, which serves already."""
        ready()
        threading.Thread(target=self._watch, args=(ready,), name="vtune-watches-vllm", daemon=True).start()

    def client(self) -> VllmClient:
        """Return the server's client. :raises UpstreamAwayError: the server does not answer."""
        if self._is_away:
            raise UpstreamAwayError(f"vLLM at {self._client.url} does not answer")
        return self._client

    def missing(self) -> str:
        """Return what is missing before the server can be used."""
        return "vLLM does not answer" if self._is_away else ""

    def failure(self) -> VtuneError | None:
        """Return None, because its owner may restart the server."""
        return None

    def kill(self) -> None:
        """Do nothing, because vtune did not start the server."""

    def close(self) -> None:
        """Stop watching the server."""
        self._closed.set()

    def _watch(self, ready: Callable[[], None]) -> None:
        failed = 0
        while not self._closed.wait(self._interval):
            failed = 0 if self._client.is_healthy() else failed + 1
            if self._is_away and not failed:
                logger.warning("vLLM at %s answers again", self._client.url)
                self._is_away = False
                ready()
            elif failed >= UNWELL_CHECKS and not self._is_away:
                logger.warning("vLLM at %s does not answer", self._client.url)
                self._is_away = True


class StartedServer:
    """Starts a server, and restarts it a limited number of times when it dies or hangs.

    :param launch: starts a server; returns its process and its client.
    :raises VtuneError: the server cannot be started.
    """

    def __init__(self, launch: Callable[[], tuple[VllmProcess, VllmClient]], settings: VllmSettings) -> None:
        self._ready: Callable[[], None] = lambda: None
        self._launch, self._settings = launch, settings
        self._process, self._next_client = launch()
        self._client: VllmClient | None = None
        self._is_unwell = False
        self._missing = "vLLM is being started"
        self._retry_seconds = 30.0
        self._failure: VtuneError | None = None
        self._closed = threading.Event()

    def watch(self, ready: Callable[[], None]) -> None:
        """Begin to watch the server; ``ready`` is called on another thread after each start."""
        self._ready = ready
        threading.Thread(target=self._run, name="vtune-watches-vllm", daemon=True).start()

    def client(self) -> VllmClient:
        """Return the server's client, a new one after each start.

        :raises UpstreamAwayError: the server does not answer.
        """
        client = self._client
        if client is None or self._is_unwell:
            raise UpstreamAwayError(self.missing(), max(1, min(MAX_RETRY_SECONDS, math.ceil(self._retry_seconds))))
        return client

    def missing(self) -> str:
        """Return what is missing before the server can be used."""
        return "vLLM does not answer" if self._is_unwell else self._missing

    def failure(self) -> VtuneError | None:
        """Return the error after which the server is not restarted."""
        return self._failure

    def kill(self) -> None:
        """End the server at once."""
        self._closed.set()
        self._process.kill()

    def close(self) -> None:
        """End the server with all processes that it started."""
        self._closed.set()
        self._process.close()

    def _run(self) -> None:
        try:
            self._serve_again_and_again()
        except Exception as error:  # any error: a vLLM that is not watched any more must not be used
            self._failure = VtuneError(f"vtune no longer watches vLLM: {reason(error)}")
            raise

    def _serve_again_and_again(self) -> None:
        settings, deaths, served_once = self._settings, deque[float](), False
        while True:
            why = self._serve()
            served_once = served_once or self._client is not None
            self._missing = "vLLM has ended and is being started again"
            self._client, self._is_unwell = None, False
            self._process.close()
            if self._closed.is_set():
                return
            now = time.monotonic()
            deaths.append(now)
            while deaths[0] < now - settings.restart_window_seconds:
                deaths.popleft()
            if not served_once or len(deaths) > settings.restarts:
                restarted = f"; it was restarted {len(deaths) - 1} times" if len(deaths) > 1 else ""
                self._failure = VtuneError(f"{why}{restarted}; vLLM's own lines above say why")
                return
            wait = min(MAX_RESTART_WAIT_SECONDS, settings.restart_wait_seconds * 2 ** (len(deaths) - 1))
            logger.warning(
                "%s; vtune restarts it in %g s (restart %d of %d)", why, wait, len(deaths), settings.restarts
            )
            if self._closed.wait(wait):
                return
            try:
                process, client = self._launch()
            except (VtuneError, OSError) as error:
                self._failure = VtuneError(f"{why}, and cannot be restarted: {error}")
                return
            self._process, self._next_client = process, client
            if self._closed.is_set():  # `close` was called in the meantime, and ended the previous process
                process.close()
                return

    def _serve(self) -> str:
        """Wait while the server starts and while it serves; return why it stopped."""
        started = time.monotonic()
        while not self._next_client.is_healthy():
            if why := self._gone():
                return f"{why} before it served"
            if time.monotonic() - started > self._settings.start:
                return f"vLLM did not serve within {self._settings.start:g} s (vllm: {{start: ...}} in the settings)"
            self._closed.wait(POLL_SECONDS)
        self._retry_seconds = time.monotonic() - started + 1
        logger.info("vLLM is ready, %.0f s after its start", self._retry_seconds - 1)
        self._client = self._next_client
        self._ready()
        self._missing = ""
        return self._watch(self._next_client)

    def _watch(self, client: VllmClient) -> str:
        well = checked = time.monotonic()
        failed = 0
        while not (why := self._gone()):
            self._closed.wait(POLL_SECONDS)
            if time.monotonic() - checked < self._settings.health_interval_seconds:
                continue
            failed = 0 if client.is_healthy() else failed + 1
            checked = time.monotonic()
            well = well if failed else checked
            self._is_unwell = failed >= UNWELL_CHECKS
            if checked - well > self._settings.hang_seconds:
                return f"vLLM has not answered for {self._settings.hang_seconds:g} s"
        return why

    def _gone(self) -> str:
        if self._closed.is_set():
            return "vLLM was ended"
        code = self._process.code
        return "" if code is None else f"vLLM ended with {code}"
