from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rank_threads import on_ranks

from vtune.runtime.distributed.rank_pool import ALONE, RankPool
from vtune.runtime.distributed.rank_store import LostRank


def doubled(numbers: Iterator[int], rank: int) -> Iterator[tuple[int, int]]:
    for number in numbers:
        yield rank, 2 * number


def slept(numbers: Iterator[float], rank: int) -> Iterator[tuple[int, float]]:
    for seconds in numbers:
        time.sleep(seconds)
        yield rank, seconds


def failing_on_the_second_rank(numbers: Iterator[int], rank: int) -> Iterator[int]:
    if rank == 1:
        raise ValueError("this rank dies")
    time.sleep(0.05)
    yield from numbers


@given(st.integers(1, 4), st.lists(st.lists(st.integers()), max_size=3))
def test_every_input_of_every_step_is_worked_on_once(world_size: int, steps: list[list[int]]) -> None:
    def work(pool: RankPool) -> list[list[int]] | None:
        return pool.lead(lambda: [sorted(output for _, output in pool.map(doubled, inputs)) for inputs in steps])

    results = on_ranks(world_size, work)
    assert results[0] == [sorted(2 * number for number in inputs) for inputs in steps]
    assert results[1:] == [None] * (world_size - 1)


def test_a_rank_with_a_long_input_takes_no_other() -> None:
    inputs = [0.6] + [0.02] * 10

    def work(pool: RankPool) -> list[tuple[int, float]] | None:
        return pool.lead(lambda: list(pool.map(slept, inputs)))

    outputs = on_ranks(2, work)[0]
    assert outputs is not None
    (busy,) = {rank for rank, seconds in outputs if seconds == 0.6}
    assert [seconds for rank, seconds in outputs if rank == busy] == [0.6]
    assert len(outputs) == 11


def test_a_process_without_a_launch_needs_no_store() -> None:
    assert ALONE.lead(lambda: list(ALONE.map(doubled, [1, 2]))) == [(0, 2), (0, 4)]
    assert ALONE.from_main(lambda: 3) == 3
    assert ALONE.gather(4) == [4]
    ALONE.wait()


def test_ranks_agree_on_values() -> None:
    def work(pool: RankPool) -> tuple[str, list[int], list[int]]:
        decision = pool.from_main(lambda: f"by {threading.current_thread().name}")
        return decision, pool.gather(pool.rank), pool.gather(10 * pool.rank)

    assert on_ranks(3, work) == [("by MainThread", [0, 1, 2], [0, 10, 20])] * 3


def test_an_error_in_a_share_ends_all_ranks() -> None:
    def work(pool: RankPool) -> object:
        return pool.lead(lambda: list(pool.map(failing_on_the_second_rank, [1, 2, 3])))

    with pytest.raises((ValueError, LostRank)):
        on_ranks(2, work)
