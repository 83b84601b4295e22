"""Signals that stop a server: the first one lets answers finish, the second one ends the process at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Handles SIGINT and SIGTERM while it is entered; does nothing outside the main thread.

    Before the server runs, the first signal raises ``KeyboardInterrupt``, which leaving this context swallows. While it
    runs (``serving``), the server asks for ``count``. ``kill`` is called before a second signal ends the process.
    """

    def __init__(self) -> None:
        self.count = 0
        self.serving = False
        self.kill: Callable[[], None] = lambda: None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in STOP_SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        return kind is not None and issubclass(kind, KeyboardInterrupt)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        # On the second signal the server first ends its responses early and logs them.
        if self.count > 2 or (self.count == 2 and not self.serving):
            self.end(number)
        if self.count == 1 and not self.serving:
            raise KeyboardInterrupt

    def end(self, number: int = signal.SIGTERM) -> None:
        """End the process at once, with the exit code that a shell gives for a signal."""
        self.kill()
        with suppress(RuntimeError):  # the signal came while this thread was writing there
            sys.stderr.flush()
        os._exit(128 + number)
