"""Send heartbeats between the ranks of a run, and notice when a rank is lost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

from vtune.errors import TrainingError
from vtune.runtime import signals

BEAT_SECONDS = 1.0

_LEFT, _FAILED = -1, -2


class LostRank(TrainingError):
    """Another rank of this run is gone or frozen; that rank or its launcher reports the reason."""


class Heartbeats:
    """A thread of each rank that increases its count in a shared store, and watches the counts of the other ranks.

    So a rank may wait for hours while another rank works, but it notices soon when that rank is gone. A stop signal
    that one rank has received is passed on to all ranks.

    :param silence_seconds: seconds without a new count after which a rank is lost.
    :param lost: called in the thread, with the error in one line, before this process ends.
    """

    def __init__(
        self, rank: int, world_size: int, run: int, silence_seconds: float, lost: Callable[[str], None]
    ) -> None:
        self._rank, self._world_size, self._silence_seconds = rank, world_size, silence_seconds
        self._prefix, self._lost = f"vtune/{run}", lost
        self._store, self._mine = self._connect(), self._connect()
        self._waits = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeats", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until every rank has called this. A lost rank ends this process. :raises LostRank: the store is gone."""
        self._waits += 1
        key, pause = f"wait/{self._waits}", 0.005
        try:
            count = self._add(self._mine, key, 1)
            while count < self._world_size:
                time.sleep(pause)
                pause = min(2 * pause, 0.25)
                count = self._add(self._mine, key, 0)
        except RuntimeError as error:
            raise LostRank(self._lost_store_text()) from error

    def is_first_report(self, text: str) -> bool:
        """Tell whether no other rank has printed this text before."""
        try:
            return self._add(self._mine, f"said/{text}", 1) == 1
        except RuntimeError:
            return True

    def leave(self, *, failed: bool, patience_seconds: float) -> None:
        """Report the end of this rank. The first rank, which may hold the store, waits for the others for a while."""
        self._over.set()
        self._thread.join()
        try:
            if (signum := signals.requested()) is not None:
                self._mine.set(self._key("stop"), str(signum))
            self._mine.set(self._key(f"beat/{self._rank}"), str(_FAILED if failed else _LEFT))
            count, deadline = self._add(self._mine, "left", 1), time.monotonic() + patience_seconds
            while self._rank == 0 and count < self._world_size and time.monotonic() < deadline:
                time.sleep(0.02)
                count = self._add(self._mine, "left", 0)
        except RuntimeError:
            pass  # the process that held the store has ended already

    def stop_signal(self) -> int:
        """Return the signal that has stopped any of the ranks, or 0."""
        try:
            return signals.requested() or self._add(self._mine, "stop", 0)
        except RuntimeError:
            return 0

    def _beat(self) -> None:
        pause = min(BEAT_SECONDS, self._silence_seconds / 5)
        others = [rank for rank in range(self._world_size) if rank != self._rank]
        counts = dict.fromkeys(others, 0)
        last_changes = dict.fromkeys(others, time.monotonic())
        last_look = time.monotonic()
        while not self._over.wait(pause):
            try:
                self._add(self._store, f"beat/{self._rank}", 1)
                self._pass_on()
                now = time.monotonic()
                if now - last_look > self._silence_seconds / 2:  # this process was frozen, not the others
                    last_changes = dict.fromkeys(others, now)
                last_look = now
                for rank in others:
                    count = self._add(self._store, f"beat/{rank}", 0)
                    if count != counts[rank] or count == _LEFT:
                        counts[rank], last_changes[rank] = count, now
                    if count == _FAILED:
                        self._add(self._store, "left", 1)
                        os._exit(1)
                    if now - last_changes[rank] > self._silence_seconds:
                        self._end(
                            f"rank {rank} of {self._world_size} has not answered for {self._silence_seconds:g} "
                            "seconds: the rank or its machine is frozen; the other ranks end. Run the same command "
                            "to resume"
                        )
            except RuntimeError:
                if not self._over.is_set():
                    self._end(self._lost_store_text())

    def _pass_on(self) -> None:
        signum = signals.requested()
        if signum is not None:
            self._store.set(self._key("stop"), str(signum))
        elif signum := self._add(self._store, "stop", 0):
            signals.pass_on(signum)

    def _end(self, text: str) -> NoReturn:
        # This thread ends the process, because the main thread may wait inside torch for ever.
        self._lost(text)
        os._exit(1)

    def _lost_store_text(self) -> str:
        return "the first rank or the launcher is gone; this rank ends. Run the same command to resume"

    def _connect(self) -> Any:
        from torch.distributed import TCPStore  # type: ignore[attr-defined] # defined in C++

        address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        patience = timedelta(seconds=self._silence_seconds)
        return TCPStore(*address, is_master=False, wait_for_workers=False, timeout=patience)

    def _add(self, store: Any, key: str, amount: int) -> int:
        return int(store.add(self._key(key), amount))

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}"
