"""Compute what a study improves: the quality that checkpoints are chosen by, or any metric of the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from vtune.engines import engine_of
from vtune.errors import RecipeError, TrainingError, choices, listed
from vtune.evaluation import (
    QUALITY,
    VOICE,
    MetricSpec,
    Scores,
    Selection,
    metric_makers,
    metric_specs,
    read_scores,
    read_selection,
)
from vtune.recipe import Recipe
from vtune.runtime.paths import VoiceFolder


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """What the voices of one trial reached.

    :param merit: how good they are by the objective; higher is better, whatever the metric.
    :param metrics: means over the voices by name.
    :param specs: what the metrics mean, the objective first.
    :param judged_by: the texts that were spoken; merits of other texts cannot be compared.
    """

    merit: float
    metrics: Mapping[str, float]
    specs: Sequence[MetricSpec]
    judged_by: Sequence[str]


def check_metric(metric: str, recipe: Recipe) -> None:
    """Check the objective of a study before its first trial.

    :raises RecipeError: no clip will be held out, the metric does not exist, or none of its values is better.
    """
    settings = recipe.evaluate
    if not settings.clips:
        raise RecipeError(["evaluate.clips is 0, so there is nothing to judge trials by; raise it"])
    if settings.source is None and not recipe.holds_clips_out:
        raise RecipeError(
            ["there is nothing to judge trials by; name recordings under evaluate.source, or raise train.validation"]
        )
    engine = engine_of(recipe)
    selection = read_selection(engine, recipe)
    specs = {QUALITY: selection.quality_spec, **metric_specs(metric_makers(engine, recipe))}
    if metric not in specs:
        raise RecipeError([f"--metric {metric}: there is no metric {metric!r}{choices(metric, specs, 'known')}"])
    _merit(specs[metric], 0.0)
    measured = metric_specs(metric_makers(engine, recipe, settings.metrics))
    for name in selection.names if metric == QUALITY else [metric]:
        if name not in measured:
            raise RecipeError(
                [f"--metric {metric}: evaluate.metrics ({listed(settings.metrics or ())}) leaves {name} out; add it"]
            )


def outcome(voices: Sequence[VoiceFolder], metric: str, selection: Selection) -> TrialOutcome:
    """Read the outcome of a trial from the scores of its voices; several voices are averaged.

    :raises RecipeError: the metric was not measured, and cannot be in any other trial; the message says why.
    :raises TrainingError: this trial spoke nothing that the metric can be measured on.
    """
    scores = [_scores(voice) for voice in voices]
    reached = [_metrics(voice_scores, metric, selection) for voice_scores in scores]
    specs = {QUALITY: selection.quality_spec} | {
        score.spec.name: score.spec for voice_scores in scores for score in voice_scores.scores
    }
    shown = [
        name
        for name in dict.fromkeys([metric, QUALITY, *selection.names])
        if all(name in metrics for metrics in reached)
    ]
    means = {name: fmean(metrics[name] for metrics in reached) for name in shown}
    merit = fmean(_merit(specs[metric], metrics[metric]) for metrics in reached)
    return TrialOutcome(
        merit, means, [specs[name] for name in shown], [text for voice_scores in scores for text in voice_scores.texts]
    )


def _scores(voice: VoiceFolder) -> Scores:
    if not voice.scores.is_file():
        raise RecipeError(
            [f"voice {voice.name} was not scored: no clip is held out; name recordings under evaluate.source"]
        )
    return read_scores(voice.scores)


def _metrics(scores: Scores, metric: str, selection: Selection) -> dict[str, float]:
    """Return the metrics of one voice that a table shows, the objective among them."""
    for name in selection.names if metric == QUALITY else [metric]:
        if name not in scores:
            measured = listed([score.spec.name for score in scores.scores], metric)
            reasons = "".join(f"; {group}: {reason}" for group, reason in scores.skipped.items())
            raise RecipeError([f"--metric {metric}: {name} was not measured (measured: {measured}){reasons}"])
    names = (metric, *selection.names)
    means = {name: mean for name in names if (mean := scores.mean(name, VOICE)) is not None}
    quality = selection.quality(scores, VOICE)
    means |= {QUALITY: quality} if quality is not None else {}
    if metric not in means:
        raise TrainingError(f"its voice spoke nothing that {metric} can be measured on")
    return means


def _merit(spec: MetricSpec, number: float) -> float:
    if spec.better == "neither":
        raise RecipeError([f"--metric {spec.name}: {spec.title!r} describes a voice; no value of it is better"])
    return {"high": number, "low": -number, "one": -abs(number - 1)}[spec.better]
