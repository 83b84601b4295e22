"""What a study makes as good as it can: quality, or any figure that voices are scored by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from vtune.engines import load_engine
from vtune.errors import RecipeError, TrainingError, listed, nearest
from vtune.evaluation import VOICE, MetricSpec, Scores, judges, quality, read_scores
from vtune.recipe import Recipe
from vtune.runtime.paths import VoiceFolder
from vtune.tune.trials import QUALITY

PARTS = ("words", "likeness")
"""Figures that quality is made of. Either alone chooses wrongly: the words are best before anything is learned."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the voices of one trial reached.

    :param merit: of the metric; higher is better, whatever the figure.
    :param figures: means over the voices by name.
    :param kinds: what the figures mean.
    :param judged_by: the words that were spoken; merits of other words cannot be compared.
    """

    merit: float
    figures: Mapping[str, float]
    kinds: Sequence[MetricSpec]
    judged_by: Sequence[str]


def check_metric(metric: str, recipe: Recipe) -> None:
    """Find what can be found before a trial is made.

    :raises RecipeError: nothing will be held out, or there is no such figure, or it has no better and worse.
    """
    settings = recipe.evaluate
    if not settings.clips or (settings.source is None and not recipe.train.validation):
        raise RecipeError(
            ["there is nothing to judge trials by; name recordings under evaluate.source, or raise train.validation"]
        )
    makers = judges(load_engine(recipe.engine), recipe, settings.judges)
    declared = [getattr(maker, "figures", None) for maker in makers.values()]
    known = {QUALITY.name: QUALITY, **{figure.name: figure for figures in declared for figure in figures or ()}}
    wanted = PARTS if metric == QUALITY.name else (metric,)
    missing = [name for name in wanted if name not in known]
    if missing and None not in declared:  # else a judge of an extension may have it, and tells when it has judged
        chosen = "" if settings.judges is None else f" in evaluate.judges ({listed(settings.judges)})"
        hint = nearest(metric, known) or f" (known: {listed(known, metric)})"
        raise RecipeError([f"--metric {metric}: no judge{chosen} measures {missing[0]!r}{hint}"])
    if metric in known:
        _merit(known[metric], 0.0)


def outcome(voices: Sequence[VoiceFolder], metric: str) -> Outcome:
    """Read what a trial reached from its voices' scores; of several voices the mean.

    :raises RecipeError: it was not measured, and would not be in any other trial; says why.
    :raises TrainingError: this trial spoke nothing that it could be measured on.
    """
    several = [_scores(voice) for voice in voices]
    found = [_one(scores, metric) for scores in several]
    kinds = {QUALITY.name: QUALITY} | {one.figure.name: one.figure for scores in several for one in scores.scores}
    shown = [name for name in dict.fromkeys([metric, QUALITY.name, *PARTS]) if all(name in one for one in found)]
    figures = {name: fmean(one[name] for one in found) for name in shown}
    merit = fmean(_merit(kinds[metric], one[metric]) for one in found)
    return Outcome(merit, figures, [kinds[name] for name in shown], [text for one in several for text in one.texts])


def _scores(voice: VoiceFolder) -> Scores:
    if not voice.scores.is_file():
        raise RecipeError(
            [f"voice {voice.name} was not scored, no clip was held out; name recordings under evaluate.source"]
        )
    return read_scores(voice.scores)


def _one(scores: Scores, metric: str) -> dict[str, float]:
    """Return the figures of one voice that a table shows, the metric among them."""
    judged = {one.figure.name for one in scores.scores}
    for name in PARTS if metric == QUALITY.name else (metric,):
        if name not in judged:
            why = "".join(f"; {group}: {reason}" for group, reason in scores.skipped.items())
            raise RecipeError([f"--metric {metric}: {name} was not measured (measured: {listed(judged, metric)}){why}"])
    means = {name: mean for name in (metric, *PARTS) if (mean := scores.mean(name, VOICE)) is not None}
    if judged.issuperset(PARTS):
        # A voice that says too little to tell who speaks is the worst there is.
        means[QUALITY.name] = (quality(scores, VOICE) or 0.0) if means.keys() >= set(PARTS) else 0.0
    if metric not in means:
        raise TrainingError(f"nothing that its voice spoke could be judged for {metric}")
    return means


def _merit(figure: MetricSpec, number: float) -> float:
    if figure.better == "neither":
        raise RecipeError([f"--metric {figure.name}: {figure.title!r} describes a voice; there is no better or worse"])
    return {"high": number, "low": -number, "one": -abs(number - 1)}[figure.better]
