"""Order the clips of an epoch by seed and epoch alone, so that a resumed run sees the same order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields pairs (row, position in the whole training), in another order each epoch.

    A row of weight ``w`` comes ``w`` times in an epoch; for a fraction, rows are drawn at random. Every epoch has the
    same length: the rows of one weight together come ``round(w * rows)`` times.
    """

    def __init__(self, weights: Sequence[float], seed: int) -> None:
        self._groups: dict[float, list[int]] = {}
        for row, weight in enumerate(weights):
            self._groups.setdefault(weight, []).append(row)
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the next epoch; the trainer calls this."""
        self._epoch = epoch

    def __len__(self) -> int:
        return sum(self._count(weight, rows) for weight, rows in self._groups.items())

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        chosen: list[int] = []
        for weight, rows in self._groups.items():
            repetitions, rest = divmod(self._count(weight, rows), len(rows))
            drawn = torch.randperm(len(rows), generator=generator)[:rest].tolist()
            chosen += rows * repetitions + [rows[index] for index in drawn]
        first = self._epoch * len(chosen)
        for position, row in enumerate(torch.randperm(len(chosen), generator=generator).tolist()):
            yield chosen[row], first + position

    @staticmethod
    def _count(weight: float, rows: Sequence[int]) -> int:
        return max(1, round(weight * len(rows)))
