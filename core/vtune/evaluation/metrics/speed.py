"""What speaking costs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import psutil

from vtune.contract.metrics import MetricResult, MetricSpec, Ratio, TestSet, Utterance
from vtune.recipe import Recipe


class Speed:
    """Time of takes, and the memory of the process that made them."""

    figures = (
        MetricSpec("rtf", "seconds of work a second of sound", "low"),
        MetricSpec("first", "seconds until there is sound", "low", "s"),
        MetricSpec("memory", "memory of the process at its peak", "neither", "GiB"),
    )

    def __init__(self, material: TestSet, recipe: Recipe) -> None:
        pass

    def judge(self, takes: Sequence[Utterance]) -> MetricResult:
        """Divide."""
        memory = Ratio(_peak() / 2**30)
        rates = [None if take.took is None or not take.seconds else Ratio(take.took, take.seconds) for take in takes]
        first = [None if take.first is None else Ratio(take.first) for take in takes]
        return MetricResult({"rtf": rates, "first": first, "memory": [memory if rate else None for rate in rates]})


def _peak() -> int:
    """Bytes: on a GPU what torch held there, else what the process had resident."""
    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ImportError:  # Windows
        return int(psutil.Process().memory_info().rss)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)
