"""Run uvicorn so that it answers new requests with 503 while the last responses finish, and closes afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from uvicorn import Config, Server

from vtune.serve.backend import Backend
from vtune.serve.lifecycle import Lifecycle
from vtune.serve.stop_signals import StopSignals


class StoppableServer(Server):
    """A uvicorn server that runs until a signal arrives or its backend has failed permanently."""

    def __init__(self, config: Config, lifecycle: Lifecycle, backend: Backend, signals: StopSignals) -> None:
        super().__init__(config)
        self._lifecycle, self._backend, self._signals = lifecycle, backend, signals
        self._is_hurried = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to ``StopSignals``: uvicorn's way ends the process before anything else is closed."""
        self._signals.serving = True
        try:
            yield
        finally:
            self._signals.serving = False
        if self._signals.count > 1:
            self._signals.end()

    async def on_tick(self, counter: int) -> bool:
        """Begin or shorten the shutdown after a signal; return whether the server closes now."""
        should_exit = await super().on_tick(counter)
        if self._signals.count and not self._lifecycle.draining:
            self._lifecycle.drain()
            self._backend.drain()
        if self._signals.count > 1 and not self._is_hurried:
            self._is_hurried = True
            self._lifecycle.drain(0)
        return should_exit or self._lifecycle.drained or self._backend.failure() is not None
