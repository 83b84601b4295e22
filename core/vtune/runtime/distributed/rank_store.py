"""Values that all ranks of a run share, in torch's store, which one process of the launch holds."""

from __future__ import annotations

import os
import pickle
from datetime import timedelta
from typing import Any

from vtune.errors import TrainingError

CHUNK_BYTES = 1 << 20
"""Bytes of one message: the store refuses more than 8 MiB at once."""


class LostRank(TrainingError):
    """Another rank of this run is gone or frozen; that rank or its launcher reports the reason."""


class RankStore:
    """A connection to the store of the launch; every thread needs its own.

    Whoever can connect to the store can send objects that run code when they are read, as with the objects that
    torch's own collectives send: the port of the launch must be reachable inside the cluster only.

    :param run: number of the run in this process; keys of different runs are different.
    :param patience_seconds: longest wait for one answer.
    """

    def __init__(self, run: int, patience_seconds: float) -> None:
        from torch.distributed import TCPStore  # type: ignore[attr-defined] # defined in C++

        address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        patience = timedelta(seconds=patience_seconds)
        self._prefix = f"vtune/{run}"
        try:
            self._store: Any = TCPStore(*address, is_master=False, wait_for_workers=False, timeout=patience)
        except RuntimeError as error:
            raise LostRank(_LOST_STORE_TEXT) from error

    def add(self, key: str, amount: int) -> int:
        """Add to a number, which is 0 at first, and return the sum. :raises LostRank: the store is gone."""
        try:
            return int(self._store.add(f"{self._prefix}/{key}", amount))
        except RuntimeError as error:
            raise LostRank(_LOST_STORE_TEXT) from error

    def set_number(self, key: str, number: int) -> None:
        """Set a number that ``add`` can read. :raises LostRank: the store is gone."""
        self._set(key, str(number).encode())

    def put(self, key: str, value: Any) -> None:
        """Store an object. :raises LostRank: the store is gone."""
        data = pickle.dumps(value)
        chunks = range(0, len(data), CHUNK_BYTES)
        for number, start in enumerate(chunks):
            self._set(f"{key}/{number}", data[start : start + CHUNK_BYTES])
        self._set(key, str(len(chunks)).encode())

    def get(self, key: str, *, remove: bool = False) -> Any:
        """Return an object that a rank has stored before. :raises LostRank: the store is gone."""
        try:
            count = int(self._store.get(f"{self._prefix}/{key}"))
            names = [f"{self._prefix}/{key}/{number}" for number in range(count)]
            data = b"".join(self._store.get(name) for name in names)
            for name in names if remove else ():
                self._store.delete_key(name)
        except RuntimeError as error:
            raise LostRank(_LOST_STORE_TEXT) from error
        return pickle.loads(data)

    def _set(self, key: str, data: bytes) -> None:
        try:
            self._store.set(f"{self._prefix}/{key}", data)
        except RuntimeError as error:
            raise LostRank(_LOST_STORE_TEXT) from error


_LOST_STORE_TEXT = "the first rank or the launcher is gone; this rank ends. Run the same command to resume"
