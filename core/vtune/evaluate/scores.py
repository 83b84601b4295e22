"""Figures of takes to figures of a voice: means, differences to the base with their intervals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from vtune.errors import VtuneError
from vtune.evaluate.likeness import Likeness
from vtune.evaluate.metrics import Endings, Judged, Length, Metric, Share
from vtune.evaluate.takes import Take
from vtune.evaluate.words import WordErrors
from vtune.recipe import Recipe
from vtune.types import Clip

logger = logging.getLogger(__name__)

DRAWS = 2_000
"""Of the bootstrap."""


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of a voice.

    :param tuned, base, recordings: means; None where there is nothing to take one of.
    :param interval: of ``tuned - base``, 95 %, paired bootstrap over the texts.
    :param each: the figure of every take, in their order.
    """

    name: str
    title: str
    percent: bool
    best: float
    tuned: float | None
    base: float | None
    recordings: float | None
    interval: tuple[float, float] | None
    each: list[float | None]

    def describe(self) -> str:
        """Return it in a line."""
        line = f"{self.title} {self.shown(self.tuned)}"
        if self.base is not None:
            line += f", the base's {self.shown(self.base)}"
        return line + (f", the recordings' own {self.shown(self.recordings)}" if self.recordings is not None else "")

    def shown(self, figure: float | None) -> str:
        """Return a figure as people read it."""
        if figure is None:
            return "-"
        return f"{100 * figure:.1f} %" if self.percent else f"{figure:.2f}"

    def difference(self) -> str:
        """Return the interval of the difference to the base as people read it; empty where there is none."""
        if self.interval is None:
            return ""
        scale, unit = (100, " %") if self.percent else (1, "")
        return f"{scale * self.interval[0]:+.2f} to {scale * self.interval[1]:+.2f}{unit}"


@dataclass(frozen=True, slots=True)
class Scores:
    """What a voice was found to be.

    :param texts: held-out texts that were spoken.
    :param heard: what a recogniser heard in each take, if there was one.
    :param skipped: metrics that could not be had, and why.
    """

    texts: list[str]
    seeds: list[int]
    scores: list[Score]
    heard: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def score(takes: Sequence[Take], clips: Sequence[Clip], recipe: Recipe) -> Scores:
    """Judge takes by every metric that can be had; the others are named with their reasons."""
    makers: dict[str, Callable[[], Metric]] = {
        Likeness.name: lambda: Likeness(clips),
        WordErrors.name: lambda: WordErrors(clips, recipe),
        Endings.name: Endings,
        Length.name: lambda: Length(clips),
    }
    scores: list[Score] = []
    heard: list[str] = []
    skipped: dict[str, str] = {}
    for name, make in makers.items():
        try:
            metric = make()
            judged = metric.judge(takes)
            scores.append(_score(metric, takes, judged, metric.recordings(), recipe.evaluate.seed))
        except VtuneError as reason:
            skipped[name] = str(reason)
            continue
        heard = metric.heard if isinstance(metric, WordErrors) else heard
    seeds = sorted({take.seed for take in takes})
    return Scores([clip.text for clip in clips], seeds, scores, heard, skipped)


def _score(metric: Metric, takes: Sequence[Take], judged: Judged, recordings: Judged, seed: int) -> Score:
    tuned, base = (_by_text(takes, judged, untuned) for untuned in (False, True))
    each = [None if one is None else round(one.part / one.whole, 4) for one in judged]
    own = [one for one in recordings if one is not None]
    return Score(
        metric.name,
        metric.title,
        metric.percent,
        metric.best,
        _mean(list(tuned.values())),
        _mean(list(base.values())),
        _mean(own),
        _interval(tuned, base, seed),
        each,
    )


def _by_text(takes: Sequence[Take], judged: Judged, untuned: bool) -> dict[int, Share]:
    """Sum the shares of a text's takes, all seeds together."""
    sums: dict[int, Share] = {}
    for take, one in zip(takes, judged, strict=True):
        if take.untuned == untuned and one is not None:
            before = sums.get(take.text, Share(0.0, 0.0))
            sums[take.text] = Share(before.part + one.part, before.whole + one.whole)
    return sums


def _mean(shares: Sequence[Share]) -> float | None:
    whole = sum(one.whole for one in shares)
    return sum(one.part for one in shares) / whole if whole else None


def _interval(tuned: dict[int, Share], base: dict[int, Share], seed: int) -> tuple[float, float] | None:
    """Draw texts anew, with their takes by the voice and by its base together."""
    texts = sorted(tuned.keys() & base.keys())
    if len(texts) < 2:
        return None
    parts = np.array([[tuned[text].part, base[text].part] for text in texts])
    wholes = np.array([[tuned[text].whole, base[text].whole] for text in texts])
    drawn = np.random.default_rng(seed).integers(len(texts), size=(DRAWS, len(texts)))
    means = parts[drawn].sum(axis=1) / wholes[drawn].sum(axis=1)  # (draws, 2)
    low, high = np.percentile(means[:, 0] - means[:, 1], [2.5, 97.5])
    return float(low), float(high)
