"""Measure the time and the memory that speaking takes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import ClassVar

import psutil

from vtune.contract.metrics import MetricResult, MetricSpec, Ratio, TestSet, Utterance
from vtune.evaluation.metric_group import MetricGroup
from vtune.recipe import Recipe


class Speed:
    """Time that utterances took, and the memory of the process that made them."""

    specs: ClassVar = (
        MetricSpec("rtf", "seconds of work for a second of sound (RTF)", "low"),
        MetricSpec("first_audio_seconds", "seconds until there is sound", "low", "s"),
        MetricSpec("peak_memory_gib", "memory of the process at its peak", "neither", "GiB"),
    )

    def __init__(self, test_set: TestSet, recipe: Recipe) -> None:
        pass

    def measure(self, utterances: Sequence[Utterance]) -> MetricResult:
        """Divide the seconds of work by the seconds of sound."""
        memory = Ratio(_peak_bytes() / 2**30)
        rtf = [
            None if utterance.took is None or not utterance.seconds else Ratio(utterance.took, utterance.seconds)
            for utterance in utterances
        ]
        first = [None if utterance.first is None else Ratio(utterance.first) for utterance in utterances]
        return MetricResult(
            {"rtf": rtf, "first_audio_seconds": first, "peak_memory_gib": [memory if ratio else None for ratio in rtf]}
        )


METRICS = MetricGroup("speed", Speed, position=70)


def _peak_bytes() -> int:
    """Return the memory at its peak, in bytes: on a GPU what torch held there, else what the process had resident."""
    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ImportError:  # Windows
        return int(psutil.Process().memory_info().rss)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)
