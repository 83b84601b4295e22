"""The order of clips: a function of seed and epoch alone, so that a resumed run sees what it would have seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields rows, each with the number of its place in the whole training, in an order of its own each epoch.

    A row of weight ``w`` comes ``w`` times an epoch, fractions by lot.

    An epoch's length is the same every time: rows of equal weight share ``round(w * rows)`` places.
    """

    def __init__(self, weights: Sequence[float], seed: int) -> None:
        self._groups: dict[float, list[int]] = {}
        for row, weight in enumerate(weights):
            self._groups.setdefault(weight, []).append(row)
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; the loop calls this."""
        self._epoch = epoch

    def __len__(self) -> int:
        return sum(self._places(weight, rows) for weight, rows in self._groups.items())

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        chosen: list[int] = []
        for weight, rows in self._groups.items():
            whole, rest = divmod(self._places(weight, rows), len(rows))
            lot = torch.randperm(len(rows), generator=generator)[:rest].tolist()
            chosen += rows * whole + [rows[place] for place in lot]
        first = self._epoch * len(chosen)
        for place, row in enumerate(torch.randperm(len(chosen), generator=generator).tolist()):
            yield chosen[row], first + place

    @staticmethod
    def _places(weight: float, rows: Sequence[int]) -> int:
        return max(1, round(weight * len(rows)))
