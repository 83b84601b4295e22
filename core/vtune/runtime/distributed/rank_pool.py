"""Divide the work of a step among the ranks of a launch: each rank takes the next piece when the rank is free."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

Input = TypeVar("Input")
Output = TypeVar("Output")
T = TypeVar("T")

MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.005, 0.25
"""Seconds between two looks at the store while a rank waits; the pause doubles each time."""


class SharedValues(Protocol):
    """What a pool needs of ``RankStore``."""

    def add(self, key: str, amount: int) -> int:
        """Add to a number, and return the sum."""
        ...

    def put(self, key: str, value: Any) -> None:
        """Store an object."""
        ...

    def get(self, key: str, *, remove: bool = False) -> Any:
        """Return an object."""
        ...


class RankPool:
    """The ranks of a launch as workers; without a launch, a pool of this process alone.

    The main process gives out work by ``map`` inside ``lead``, and every rank, the main process too, takes the next
    input whenever it is free. So shares become equal in seconds, however fast each machine is. A wait never ends by
    itself: heartbeats notice a rank that is gone.
    """

    def __init__(self, store: SharedValues | None = None, rank: int = 0, world_size: int = 1) -> None:
        self.rank, self.world_size = rank, world_size
        self._shared = store
        self._waits = self._tasks = self._values = 0

    @property
    def is_main(self) -> bool:
        """Whether this is the main process."""
        return self.rank == 0

    def lead(self, work: Callable[[], T]) -> T | None:
        """Run a step in the main process, while the other ranks take their shares of what the step gives out.

        :returns: the result of the step; None in the other ranks.
        """
        if self.world_size == 1:
            return work()
        if self.is_main:
            result = work()
            self._give_out(None)
            return result
        while (task := self._next_task()) is not None:
            self._take_share(*task)
        return None

    def map(
        self, work: Callable[[Iterator[Input], int], Iterable[Output]], inputs: Sequence[Input]
    ) -> Iterator[Output]:
        """Yield the outputs of all inputs, as they are finished. The main process calls this inside ``lead``.

        Example: with two ranks and ``inputs = [90, 30, 20]`` in seconds of work, one rank gets 90, the other 30 and 20.

        :param work: called once in each rank, with the inputs that the rank takes, and with its rank; it must take an
            input only when it is ready to work on it. Work, inputs and outputs can be pickled.
        :param inputs: the longest first, so that no rank waits long for the last one.
        """
        if self.world_size == 1:
            yield from work(iter(inputs), self.rank)
            return
        self._give_out((work, inputs))
        counts = [0] * self.world_size
        for output in work(self._claims(inputs), self.rank):
            yield output
            yield from self._arrived(counts)
        pause = MIN_PAUSE_SECONDS
        while True:
            all_ended = self._store.add(f"ended/{self._tasks}", 0) == self.world_size - 1
            arrived = list(self._arrived(counts))
            yield from arrived
            if all_ended:
                break
            pause = MIN_PAUSE_SECONDS if arrived else min(2 * pause, MAX_PAUSE_SECONDS)
            time.sleep(pause)
        self._store.get(f"task/{self._tasks}", remove=True)

    def wait(self) -> None:
        """Wait until every rank has called this, for hours if need be."""
        if self.world_size > 1:
            self._waits += 1
            self._store.add(f"wait/{self._waits}", 1)
            self._until(f"wait/{self._waits}", self.world_size)

    def from_main(self, decide: Callable[[], T]) -> T:
        """Return in every rank what the main process decides. Every rank calls this."""
        if self.world_size == 1:
            return decide()
        decision: T = self._all_values(decide() if self.is_main else None, [0])[0]
        return decision

    def gather(self, value: T) -> list[T]:
        """Return in every rank the values of all ranks, by rank. Every rank calls this."""
        return [value] if self.world_size == 1 else self._all_values(value, range(self.world_size))

    @property
    def _store(self) -> SharedValues:
        assert self._shared is not None  # only a pool of one process has no store
        return self._shared

    def _all_values(self, value: Any, ranks: Iterable[int]) -> list[Any]:
        self._values += 1
        if self.rank in ranks:
            self._store.put(f"value/{self._values}/{self.rank}", value)
        self.wait()
        return [self._store.get(f"value/{self._values}/{rank}") for rank in ranks]

    def _give_out(self, task: Any) -> None:
        self._tasks += 1
        self._store.put(f"task/{self._tasks}", task)
        self._store.add("tasks", 1)

    def _next_task(self) -> Any:
        self._tasks += 1
        self._until("tasks", self._tasks)
        return self._store.get(f"task/{self._tasks}")

    def _take_share(self, work: Callable[[Iterator[Input], int], Iterable[Output]], inputs: Sequence[Input]) -> None:
        for number, output in enumerate(work(self._claims(inputs), self.rank)):
            self._store.put(f"output/{self._tasks}/{self.rank}/{number}", output)
            self._store.add(f"outputs/{self._tasks}/{self.rank}", 1)
        self._store.add(f"ended/{self._tasks}", 1)

    def _claims(self, inputs: Sequence[Input]) -> Iterator[Input]:
        """Yield the inputs that this rank takes; each input is taken by one rank."""
        while (number := self._store.add(f"claims/{self._tasks}", 1) - 1) < len(inputs):
            yield inputs[number]

    def _arrived(self, counts: list[int]) -> Iterator[Any]:
        """Yield the outputs of the other ranks that have arrived since the last call.

        :param counts: outputs of each rank that were yielded before; changed here.
        """
        for rank in range(1, self.world_size):
            for number in range(counts[rank], self._store.add(f"outputs/{self._tasks}/{rank}", 0)):
                counts[rank] += 1
                yield self._store.get(f"output/{self._tasks}/{rank}/{number}", remove=True)

    def _until(self, key: str, amount: int) -> None:
        pause = MIN_PAUSE_SECONDS
        while self._store.add(key, 0) < amount:
            time.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)


ALONE = RankPool()
"""The pool of a process without a launch."""
