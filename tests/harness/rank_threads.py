"""Ranks as threads of the test's process, with a store in memory: what a launch does, without starting processes."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from vtune.runtime.distributed.rank_pool import RankPool
from vtune.runtime.distributed.rank_store import LostRank

T = TypeVar("T")


class MemoryStore:
    """Replaces ``RankStore``: after a rank has died, every call fails, as heartbeats end real ranks."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._values: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self.is_lost = False

    def add(self, key: str, amount: int) -> int:
        with self._lock:
            self._check()
            self._numbers[key] = self._numbers.get(key, 0) + amount
            return self._numbers[key]

    def put(self, key: str, value: Any) -> None:
        data = pickle.dumps(value)
        with self._lock:
            self._check()
            self._values[key] = data

    def get(self, key: str, *, remove: bool = False) -> Any:
        with self._lock:
            self._check()
            data = self._values.pop(key) if remove else self._values[key]
        return pickle.loads(data)

    def _check(self) -> None:
        if self.is_lost:
            raise LostRank("a rank is lost")


def on_ranks(world_size: int, work: Callable[[RankPool], T]) -> list[T]:
    """Call a function on every rank, the first in this thread, others in threads named ``rank N``; return the results.

    :raises BaseException: the first error of any rank; the other ranks end with it.
    """
    store, results, errors = MemoryStore(), dict[int, T](), list[BaseException]()

    def run(rank: int) -> None:
        try:
            results[rank] = work(RankPool(store, rank, world_size))
        except BaseException as error:
            errors.append(error)
            store.is_lost = True

    threads = [threading.Thread(target=run, args=(rank,), name=f"rank {rank}") for rank in range(1, world_size)]
    for thread in threads:
        thread.start()
    run(0)
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a rank waits for ever"
    if errors:
        raise errors[0]
    return [results[rank] for rank in range(world_size)]


def rank_of_thread() -> int:
    """Return the rank of the thread that calls this; 0 outside of ``on_ranks``."""
    name = threading.current_thread().name
    return int(name.removeprefix("rank ")) if name.startswith("rank ") else 0
