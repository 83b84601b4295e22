"""Average what a model measures beside its loss, over steps and processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


class MeanMetrics:
    """Adds up pairs ``[sum, count]`` by name, on their device, and returns their means."""

    def __init__(self) -> None:
        self._totals: dict[str, torch.Tensor] = {}

    def add(self, metrics: Mapping[str, torch.Tensor] | None) -> None:
        """Add the pairs of one batch."""
        for name, pair in (metrics or {}).items():
            before, added = self._totals.get(name), pair.detach().double()
            self._totals[name] = added if before is None else before + added

    def take(self, accelerator: Any) -> dict[str, float]:
        """Return the means over all processes and reset; every process must call this with the same names."""
        totals = {name: accelerator.reduce(pair).tolist() for name, pair in sorted(self._totals.items())}
        self._totals = {}
        return {name: total / count for name, (total, count) in totals.items() if count}

    def state(self) -> dict[str, list[float]]:
        """Return the sums of this process, as a checkpoint keeps them."""
        return {name: pair.tolist() for name, pair in self._totals.items()}

    def restore(self, state: Mapping[str, list[float]], device: torch.device) -> None:
        """Continue from the sums of a checkpoint."""
        self._totals = {name: torch.tensor(pair, dtype=torch.float64, device=device) for name, pair in state.items()}
