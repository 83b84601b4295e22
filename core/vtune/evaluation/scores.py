"""Compute the scores of systems from measured utterances: means, and differences to a baseline with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from vtune.contract.metrics import (
    BASE,
    RECORDING,
    VOICE,
    MetricMaker,
    MetricSpec,
    MetricValues,
    Ratio,
    TestSet,
    Utterance,
)
from vtune.errors import VtuneError
from vtune.evaluation.synthesis import recordings_as_utterances
from vtune.recipe import Recipe
from vtune.runtime.progress import CountedSequence, ProgressBar

BOOTSTRAP_DRAWS = 2_000

SCORES_VERSION = 3
"""Version of ``scores.json``: its metrics have the field's names since 3."""


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of every system.

    :param means: by system; only systems that the metric could be measured on.
    :param intervals: by system, the 95 % interval of the difference to the baseline; paired bootstrap over the texts.
    :param anchors: what others reach that did not speak here, by name.
    """

    group: str
    spec: MetricSpec
    means: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    anchors: Mapping[str, float] = field(default_factory=dict)

    def shown(self, system: str) -> str:
        """Return a system's mean as people read it, or an anchor's."""
        return self.spec.shown({**self.anchors, **self.means}.get(system))

    def describe(self, system: str) -> str:
        """Return in one line the score of a system, and beside it the scores of the others."""
        others = {**self.anchors, **self.means}
        beside = "".join(f", {name} {self.spec.shown(mean)}" for name, mean in others.items() if name != system)
        return f"{self.spec.title}: {system} {self.shown(system)}{beside}"

    def difference(self, system: str) -> str:
        """Return the interval of a system's difference as people read it; empty where there is none."""
        return self.spec.shown_interval(self.intervals.get(system))


@dataclass(frozen=True, slots=True)
class Scores:
    """What was measured of every system.

    :param texts: sentences that were spoken.
    :param baseline: the system that the others are compared with.
    :param utterances: for each utterance its system, text, seed, seconds, numbers by metric, and notes.
    :param skipped: groups of metrics that could not be measured, and why.
    :param identical: pairs of systems that spoke the same sound, sample by sample: the training changed nothing.
    """

    texts: Sequence[str] = ()
    seeds: Sequence[int] = ()
    systems: Sequence[str] = ()
    baseline: str = BASE
    scores: Sequence[Score] = ()
    utterances: Sequence[Mapping[str, Any]] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    identical: Sequence[tuple[str, str]] = ()

    @property
    def columns(self) -> list[str]:
        """Systems, the recordings, and anchors: what a table shows beside each other."""
        anchors = dict.fromkeys(name for score in self.scores for name in score.anchors)
        own = [RECORDING] if any(RECORDING in score.means for score in self.scores) else []
        return [*self.systems, *own, *anchors]

    def __getitem__(self, name: str) -> Score:
        """Return the score of one metric. :raises KeyError: the metric was not measured."""
        for score in self.scores:
            if score.spec.name == name:
                return score
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        """Whether a metric was measured."""
        return any(score.spec.name == name for score in self.scores)

    def mean(self, name: str, system: str) -> float | None:
        """Return a mean, None where it was not measured."""
        return next((score.means.get(system) for score in self.scores if score.spec.name == name), None)

    def warnings(self) -> list[str]:
        """Return warnings, one line each."""
        same = [
            f"{first} and {second} sound exactly the same: the training changed nothing that can be heard"
            for first, second in self.identical
        ]
        return [*same, *filter(None, map(_lost, self.scores))]

    def settings(self) -> dict[str, Any]:
        """Return plain data."""
        return {"version": SCORES_VERSION, **asdict(self)}


def score(
    utterances: Sequence[Utterance],
    test_set: TestSet,
    recipe: Recipe,
    makers: Mapping[str, MetricMaker],
    baseline: str = BASE,
    *,
    recordings: bool = True,
) -> Scores:
    """Measure utterances by every metric that can be measured; the others are named with reasons.

    :param recordings: measure the held-out recordings too.
    """
    systems = list(dict.fromkeys(utterance.system for utterance in utterances))
    measured = [*utterances, *(recordings_as_utterances(test_set.clips) if recordings else [])]
    rows: list[dict[str, Any]] = [_row(utterance) for utterance in measured]
    scores: list[Score] = []
    skipped: dict[str, str] = {}
    for group, make in makers.items():
        try:
            metric = make(test_set, recipe)
            with ProgressBar(f"scoring {group}", len(measured), "sentences") as bar:
                result = metric.measure(CountedSequence(measured, bar))
        except VtuneError as reason:
            skipped[group] = str(reason)
            continue
        for spec in metric.specs:
            values = result.values.get(spec.name, [])
            if any(value is not None for value in values):
                score_of_metric = _score(group, spec, measured, values, baseline, recipe.evaluate.seed)
                scores.append(replace(score_of_metric, anchors=result.anchors.get(spec.name, {})))
                for row, value in zip(rows, values, strict=True):
                    number = None if value is None else round(value.numerator / value.denominator, 4)
                    row["metrics"][spec.name] = number
        for name, lines in result.notes.items():
            for row, line in zip(rows, lines, strict=True):
                row[name] = line
    seeds = sorted({utterance.seed for utterance in utterances})
    return Scores(list(test_set.texts), seeds, systems, baseline, scores, rows, skipped, _identical(utterances))


def _lost(score: Score) -> str:
    """Return a warning about a metric of which the voice keeps too little of its base's; empty if it keeps enough."""
    base, voice, kept = score.means.get(BASE), score.means.get(VOICE), score.spec.kept
    if kept is None or base is None or voice is None or base <= 0 or voice >= kept * base:
        return ""
    return (
        f"{score.spec.title}: the voice has {voice / base:.0%} of its base's ({score.shown(VOICE)} of "
        f"{score.shown(BASE)}): train shorter, or choose checkpoints by it (evaluate.selection: [{score.spec.name}])"
    )


def _identical(utterances: Sequence[Utterance]) -> tuple[tuple[str, str], ...]:
    by_system: dict[str, dict[tuple[str, int], Utterance]] = {}
    for utterance in utterances:
        by_system.setdefault(utterance.system, {})[utterance.text, utterance.seed] = utterance
    return tuple(
        (first, second)
        for first, second in combinations(by_system, 2)
        if (shared := by_system[first].keys() & by_system[second].keys())
        and all(np.array_equal(by_system[first][key].waveform, by_system[second][key].waveform) for key in shared)
    )


def _row(utterance: Utterance) -> dict[str, Any]:
    return {
        "system": utterance.system,
        "text": utterance.text,
        "seed": utterance.seed if utterance.system != RECORDING else None,
        "seconds": round(utterance.seconds, 3),
        "ending": utterance.ending and str(utterance.ending),
        "metrics": {},
    }


def _score(
    group: str, spec: MetricSpec, utterances: Sequence[Utterance], values: MetricValues, baseline: str, seed: int
) -> Score:
    by_system = {
        name: _by_text(utterances, values, name) for name in dict.fromkeys(utterance.system for utterance in utterances)
    }
    means = {name: mean for name, texts in by_system.items() if (mean := _mean(texts.values())) is not None}
    baseline_ratios = by_system.get(baseline, {})
    intervals = {
        name: interval
        for name, texts in by_system.items()
        if name not in (baseline, RECORDING) and (interval := _interval(texts, baseline_ratios, seed)) is not None
    }
    return Score(group, spec, means, intervals)


def _by_text(utterances: Sequence[Utterance], values: MetricValues, system: str) -> dict[str, Ratio]:
    """Sum the ratios of a text's utterances, all seeds together."""
    sums: dict[str, Ratio] = {}
    for utterance, value in zip(utterances, values, strict=True):
        if utterance.system == system and value is not None:
            before = sums.get(utterance.text, Ratio(0.0, 0.0))
            sums[utterance.text] = Ratio(before.numerator + value.numerator, before.denominator + value.denominator)
    return sums


def _mean(ratios: Iterable[Ratio]) -> float | None:
    ratios = list(ratios)
    total = sum(ratio.denominator for ratio in ratios)
    return sum(ratio.numerator for ratio in ratios) / total if total else None


def _interval(own: Mapping[str, Ratio], other: Mapping[str, Ratio], seed: int) -> tuple[float, float] | None:
    """Compute a 95 % interval of ``own - other``: texts are drawn anew, with their utterances by both systems."""
    texts = sorted(own.keys() & other.keys())
    if len(texts) < 2:
        return None
    parts = np.array([[own[text].numerator, other[text].numerator] for text in texts])
    wholes = np.array([[own[text].denominator, other[text].denominator] for text in texts])
    drawn = np.random.default_rng(seed).integers(len(texts), size=(BOOTSTRAP_DRAWS, len(texts)))
    means = parts[drawn].sum(axis=1) / wholes[drawn].sum(axis=1)  # (draws, 2)
    low, high = np.percentile(means[:, 0] - means[:, 1], [2.5, 97.5])
    return float(low), float(high)
