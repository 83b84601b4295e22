"""What takes are judged by. A metric that cannot be had says why, and the others go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vtune.evaluate.takes import Take
from vtune.types import Clip, Ending


@dataclass(frozen=True, slots=True)
class Share:
    """A figure as ``part / whole``, so that a mean over takes can weigh them: wrong words over all words."""

    part: float
    whole: float = 1.0


Judged = list[Share | None]
"""One figure a take or recording; None where the metric has no say, as on one that is too short."""


class Metric(Protocol):
    """Gives each take a figure, and the recordings the same, which says what can be reached.

    :ivar name: key in ``scores.json``.
    :ivar title: for people.
    :ivar percent: whether it is shown as a percentage.
    :ivar best: what a perfect voice has; nearer is better.
    """

    name: str
    title: str
    percent: bool
    best: float

    def judge(self, takes: Sequence[Take]) -> Judged:
        """Judge takes."""
        ...

    def recordings(self) -> Judged:
        """Judge the held-out recordings in the same way; empty where that would say nothing."""
        ...


class Endings:
    """Whether the voice stops by itself: 1 where every utterance of a take came to its end token."""

    name, title, percent, best = "ended", "sentences that end by themselves", True, 1.0

    def judge(self, takes: Sequence[Take]) -> Judged:
        """1 or 0."""
        return [Share(float(take.ending == Ending.END_TOKEN)) for take in takes]

    def recordings(self) -> Judged:
        """A recording has no end token."""
        return []


class Length:
    """How long takes are against the recordings of the same words: seconds over seconds."""

    name, title, percent, best = "length", "length against the recording", False, 1.0

    def __init__(self, clips: Sequence[Clip]) -> None:
        self._clips = clips

    def judge(self, takes: Sequence[Take]) -> Judged:
        """Above 1 is slower."""
        return [Share(take.seconds, self._clips[take.text].seconds) for take in takes]

    def recordings(self) -> Judged:
        """1 by definition."""
        return []
