"""Send heartbeats between the ranks of a run, and notice when a rank is lost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from vtune.runtime import signals
from vtune.runtime.distributed.rank_store import LostRank, RankStore

BEAT_SECONDS = 1.0

_LEFT, _FAILED = -1, -2


class Heartbeats:
    """A thread of each rank that increases its count in a shared store, and watches the counts of the other ranks.

    So a rank may wait for hours while another rank works, but it notices soon when that rank is gone. A stop signal
    that one rank has received is passed on to all ranks. ``store`` is the connection of the main thread.

    :param silence_seconds: seconds without a new count after which a rank is lost.
    :param lost: called in the thread, with the error in one line, before this process ends.
    """

    def __init__(
        self, rank: int, world_size: int, run: int, silence_seconds: float, lost: Callable[[str], None]
    ) -> None:
        self._rank, self._world_size, self._silence_seconds = rank, world_size, silence_seconds
        self._lost = lost
        self._store, self.store = RankStore(run, silence_seconds), RankStore(run, silence_seconds)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeats", daemon=True)
        self._thread.start()

    def is_first_report(self, text: str) -> bool:
        """Tell whether no other rank has printed this text before."""
        try:
            return self.store.add(f"said/{text}", 1) == 1
        except LostRank:
            return True

    def leave(self, *, failed: bool, patience_seconds: float) -> None:
        """Report the end of this rank. The first rank, which may hold the store, waits for the others for a while."""
        self._over.set()
        self._thread.join()
        try:
            if (signum := signals.requested()) is not None:
                self.store.set_number("stop", signum)
            self.store.set_number(f"beat/{self._rank}", _FAILED if failed else _LEFT)
            count, deadline = self.store.add("left", 1), time.monotonic() + patience_seconds
            while self._rank == 0 and count < self._world_size and time.monotonic() < deadline:
                time.sleep(0.02)
                count = self.store.add("left", 0)
        except LostRank:
            pass  # the process that held the store has ended already

    def stop_signal(self) -> int:
        """Return the signal that has stopped any of the ranks, or 0."""
        try:
            return signals.requested() or self.store.add("stop", 0)
        except LostRank:
            return 0

    def _beat(self) -> None:
        pause = min(BEAT_SECONDS, self._silence_seconds / 5)
        others = [rank for rank in range(self._world_size) if rank != self._rank]
        counts = dict.fromkeys(others, 0)
        last_changes = dict.fromkeys(others, time.monotonic())
        last_look = time.monotonic()
        while not self._over.wait(pause):
            try:
                self._store.add(f"beat/{self._rank}", 1)
                self._pass_on()
                now = time.monotonic()
                if now - last_look > self._silence_seconds / 2:  # this process was frozen, not the others
                    last_changes = dict.fromkeys(others, now)
                last_look = now
                for rank in others:
                    count = self._store.add(f"beat/{rank}", 0)
                    if count != counts[rank] or count == _LEFT:
                        counts[rank], last_changes[rank] = count, now
                    if count == _FAILED:
                        self._store.add("left", 1)
                        os._exit(1)
                    if now - last_changes[rank] > self._silence_seconds:
                        self._end(
                            f"rank {rank} of {self._world_size} has not answered for {self._silence_seconds:g} "
                            "seconds: the rank or its machine is frozen; the other ranks end. Run the same command "
                            "to resume"
                        )
            except LostRank as error:
                if not self._over.is_set():
                    self._end(str(error))

    def _pass_on(self) -> None:
        signum = signals.requested()
        if signum is not None:
            self._store.set_number("stop", signum)
        elif signum := self._store.add("stop", 0):
            signals.pass_on(signum)

    def _end(self, text: str) -> NoReturn:
        # This thread ends the process, because the main thread may wait inside torch for ever.
        self._lost(text)
        os._exit(1)
