"""Numbers of takes to scores of systems: means, and differences to one of them with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from vtune.contract.metrics import BASE, RECORDING, MetricMaker, MetricSpec, MetricValues, Ratio, TestSet, Utterance
from vtune.errors import VtuneError
from vtune.evaluation.synthesis import recorded
from vtune.recipe import Recipe
from vtune.runtime.progress import CountedSequence, ProgressBar

DRAWS = 2_000
"""Of the bootstrap."""

VERSION = 2
"""Of ``scores.json``."""


@dataclass(frozen=True, slots=True)
class Score:
    """One figure of every system.

    :param means: by system; only those that there is something to take one of.
    :param intervals: of the difference to the baseline by system, 95 %, paired bootstrap over the texts.
    :param anchors: what others reach that did not speak here, by name.
    """

    group: str
    figure: MetricSpec
    means: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    anchors: Mapping[str, float] = field(default_factory=dict)

    def shown(self, system: str) -> str:
        """Return a system's mean as people read it, or an anchor's."""
        return self.figure.shown({**self.anchors, **self.means}.get(system))

    def describe(self, system: str) -> str:
        """Return in a line what a system reached, and beside it what the others did."""
        others = {**self.anchors, **self.means}
        beside = "".join(f", {name} {self.figure.shown(mean)}" for name, mean in others.items() if name != system)
        return f"{self.figure.title}: {system} {self.shown(system)}{beside}"

    def difference(self, system: str) -> str:
        """Return the interval of a system's difference as people read it; empty where there is none."""
        return self.figure.shown_interval(self.intervals.get(system))


@dataclass(frozen=True, slots=True)
class Scores:
    """What systems were found to be.

    :param texts: that were spoken.
    :param baseline: the system that the others are compared with.
    :param takes: for each take its system, text, seed, seconds, numbers by figure, and notes.
    :param skipped: groups that could not be had, and why.
    :param identical: pairs of systems of which every take is the same, sample by sample: an adapter that does nothing.
    """

    texts: Sequence[str] = ()
    seeds: Sequence[int] = ()
    systems: Sequence[str] = ()
    baseline: str = BASE
    scores: Sequence[Score] = ()
    takes: Sequence[Mapping[str, Any]] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    identical: Sequence[tuple[str, str]] = ()

    @property
    def columns(self) -> list[str]:
        """Systems, the recordings, and anchors: what a table shows beside each other."""
        anchors = dict.fromkeys(name for one in self.scores for name in one.anchors)
        own = [RECORDING] if any(RECORDING in one.means for one in self.scores) else []
        return [*self.systems, *own, *anchors]

    def __getitem__(self, name: str) -> Score:
        """Return the score of one figure. :raises KeyError: it was not measured."""
        for one in self.scores:
            if one.figure.name == name:
                return one
        raise KeyError(name)

    def mean(self, name: str, system: str) -> float | None:
        """Return a mean, None where it was not measured."""
        return next((one.means.get(system) for one in self.scores if one.figure.name == name), None)

    def warnings(self) -> list[str]:
        """Return what nobody should overlook, a line each."""
        return [
            f"{one} and {other} sound exactly the same: what the training learned does nothing"
            for one, other in self.identical
        ]

    def settings(self) -> dict[str, Any]:
        """Return plain data."""
        return {"version": VERSION, **asdict(self)}


def score(
    takes: Sequence[Utterance],
    material: TestSet,
    recipe: Recipe,
    makers: Mapping[str, MetricMaker],
    baseline: str = BASE,
    *,
    recordings: bool = True,
) -> Scores:
    """Judge takes by every judge that can be had; the others are named with reasons.

    :param recordings: judge the held-out recordings too.
    """
    systems = list(dict.fromkeys(take.system for take in takes))
    judged_takes = [*takes, *(recorded(material.clips) if recordings else [])]
    rows: list[dict[str, Any]] = [_row(take) for take in judged_takes]
    scores: list[Score] = []
    skipped: dict[str, str] = {}
    for group, make in makers.items():
        try:
            judge = make(material, recipe)
            with ProgressBar(f"scoring {group}", len(judged_takes), "sentences") as bar:
                found = judge.judge(CountedSequence(judged_takes, bar))
        except VtuneError as reason:
            skipped[group] = str(reason)
            continue
        for figure in judge.figures:
            if figure.name in found.figures:
                judged = found.figures[figure.name]
                anchors = found.anchors.get(figure.name, {})
                found_score = _score(group, figure, judged_takes, judged, baseline, recipe.evaluate.seed)
                scores.append(replace(found_score, anchors=anchors))
                for row, one in zip(rows, judged, strict=True):
                    row["figures"][figure.name] = None if one is None else round(one.numerator / one.denominator, 4)
        for name, lines in found.notes.items():
            for row, line in zip(rows, lines, strict=True):
                row[name] = line
    seeds = sorted({take.seed for take in takes})
    return Scores(list(material.texts), seeds, systems, baseline, scores, rows, skipped, _identical(takes))


def _identical(takes: Sequence[Utterance]) -> tuple[tuple[str, str], ...]:
    by_system: dict[str, dict[tuple[str, int], Utterance]] = {}
    for take in takes:
        by_system.setdefault(take.system, {})[take.text, take.seed] = take
    return tuple(
        (one, other)
        for one, other in combinations(by_system, 2)
        if (shared := by_system[one].keys() & by_system[other].keys())
        and all(np.array_equal(by_system[one][key].waveform, by_system[other][key].waveform) for key in shared)
    )


def _row(take: Utterance) -> dict[str, Any]:
    return {
        "system": take.system,
        "text": take.text,
        "seed": take.seed if take.system != RECORDING else None,
        "seconds": round(take.seconds, 3),
        "ending": take.ending and str(take.ending),
        "figures": {},
    }


def _score(
    group: str, figure: MetricSpec, takes: Sequence[Utterance], judged: MetricValues, baseline: str, seed: int
) -> Score:
    by_system = {name: _by_text(takes, judged, name) for name in dict.fromkeys(take.system for take in takes)}
    means = {name: mean for name, texts in by_system.items() if (mean := _mean(texts.values())) is not None}
    other = by_system.get(baseline, {})
    intervals = {
        name: interval
        for name, texts in by_system.items()
        if name not in (baseline, RECORDING) and (interval := _interval(texts, other, seed)) is not None
    }
    return Score(group, figure, means, intervals)


def _by_text(takes: Sequence[Utterance], judged: MetricValues, system: str) -> dict[str, Ratio]:
    """Sum the shares of a text's takes, all seeds together."""
    sums: dict[str, Ratio] = {}
    for take, one in zip(takes, judged, strict=True):
        if take.system == system and one is not None:
            before = sums.get(take.text, Ratio(0.0, 0.0))
            sums[take.text] = Ratio(before.numerator + one.numerator, before.denominator + one.denominator)
    return sums


def _mean(shares: Any) -> float | None:
    shares = list(shares)
    whole = sum(one.denominator for one in shares)
    return sum(one.numerator for one in shares) / whole if whole else None


def _interval(own: Mapping[str, Ratio], other: Mapping[str, Ratio], seed: int) -> tuple[float, float] | None:
    """Draw texts anew, with their takes by both systems together."""
    texts = sorted(own.keys() & other.keys())
    if len(texts) < 2:
        return None
    parts = np.array([[own[text].numerator, other[text].numerator] for text in texts])
    wholes = np.array([[own[text].denominator, other[text].denominator] for text in texts])
    drawn = np.random.default_rng(seed).integers(len(texts), size=(DRAWS, len(texts)))
    means = parts[drawn].sum(axis=1) / wholes[drawn].sum(axis=1)  # (draws, 2)
    low, high = np.percentile(means[:, 0] - means[:, 1], [2.5, 97.5])
    return float(low), float(high)
