from __future__ import annotations

import socket
import threading
from datetime import timedelta

import numpy as np
import pytest
from torch.distributed import TCPStore  # type: ignore[attr-defined] # defined in C++

from vtune.runtime.distributed.rank_pool import RankPool
from vtune.runtime.distributed.rank_store import CHUNK_BYTES, LostRank, RankStore


@pytest.fixture
def master(monkeypatch: pytest.MonkeyPatch) -> TCPStore:
    """Start the store that a launcher starts."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=10))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    return store


@pytest.mark.usefixtures("master")
def test_large_objects_and_numbers_reach_the_other_rank() -> None:
    first, second = RankStore(1, 10), RankStore(1, 10)
    sound = np.arange(3 * CHUNK_BYTES // 4, dtype=np.float32)
    first.put("sound", {"sound": sound})
    assert (second.get("sound")["sound"] == sound).all()
    second.get("sound", remove=True)
    first.set_number("stop", 15)
    assert first.add("stop", 0) == 15  # a store answers each client in order, but does not say when a number is set
    assert second.add("stop", 0) == 15
    assert RankStore(2, 10).add("stop", 0) == 0, "another run has its own numbers"


@pytest.mark.usefixtures("master")
def test_two_ranks_work_over_a_real_store() -> None:
    results: dict[int, list[int] | None] = {}

    def run(rank: int) -> None:
        pool = RankPool(RankStore(1, 10), rank, 2)
        results[rank] = pool.lead(lambda: sorted(pool.map(_squares, list(range(50)))))

    other = threading.Thread(target=run, args=(1,))
    other.start()
    run(0)
    other.join(10)
    assert results == {0: [number**2 for number in range(50)], 1: None}


def test_a_store_that_is_gone_is_a_lost_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MASTER_PORT", str(probe.getsockname()[1]))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(LostRank, match="the first rank or the launcher is gone"):
        RankStore(1, 0.2)


def _squares(numbers, rank):  # type: ignore[no-untyped-def] # called by both ranks
    return (number**2 for number in numbers)
