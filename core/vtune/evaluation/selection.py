"""The rule that the best checkpoint, and the best settings, are chosen by: the recipe's ``evaluate.selection``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from vtune.contract.metrics import MetricMaker, MetricSpec
from vtune.engines import Engine
from vtune.errors import RecipeError, choices, listed
from vtune.evaluation.metric_registry import metric_makers, metric_specs
from vtune.evaluation.scores import Scores
from vtune.recipe import Recipe

QUALITY = "quality"
"""Name of the number that is chosen by; higher is better, 1 is perfect."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The metrics of the rule.

    One metric chooses by its own direction. Of several the product is taken, each scaled from 0 (worst) to 1 (best):
    ``(1 - wer) x speaker_similarity``. A product is low where any of its factors is: neither the right words of a
    stranger nor the right voice mumbling is a good voice.

    :param makers: of these metrics, by group.
    """

    specs: tuple[MetricSpec, ...]
    makers: Mapping[str, MetricMaker]

    @property
    def names(self) -> list[str]:
        """Names of the metrics."""
        return [spec.name for spec in self.specs]

    @property
    def rule(self) -> str:
        """The rule for people: ``(1 - wer) x speaker_similarity``, or ``wer, lower is better``."""
        if len(self.specs) == 1:
            return f"{self.specs[0].name}, {self.specs[0].direction}"
        return " x ".join(spec.formula for spec in self.specs)

    @property
    def quality_spec(self) -> MetricSpec:
        """The number that is chosen by, as a metric."""
        return MetricSpec(QUALITY, f"quality: {self.rule}", "high", headline=True, scale=(0.0, 1.0))

    def quality(self, scores: Scores, system: str) -> float | None:
        """Return how good a system is, from 0 to 1; None where a metric of the rule was not measured.

        A system that said nothing that a metric can be measured on is the worst: its quality is 0.
        """
        if any(name not in scores for name in self.names):
            return None
        means = [scores.mean(name, system) for name in self.names]
        return prod(0.0 if mean is None else spec.goodness(mean) for spec, mean in zip(self.specs, means, strict=True))


def read_selection(engine: Engine, recipe: Recipe) -> Selection:
    """Read the rule of a recipe; metrics of extensions may be in it.

    :raises RecipeError: a metric is not known, is named twice, has no better and worse, or cannot be multiplied.
    """
    makers = metric_makers(engine, recipe)
    specs = metric_specs(makers)
    names: Sequence[str] = recipe.evaluate.selection
    for name in names:
        if name not in specs:
            raise RecipeError([f"evaluate.selection: there is no metric {name!r}{choices(name, specs, 'known')}"])
        if names.count(name) > 1:
            raise RecipeError([f"evaluate.selection: {name} is named twice; name it once"])
        if specs[name].better == "neither":
            raise RecipeError([f"evaluate.selection: {name} ({specs[name].title}) only describes: no value is better"])
        if len(names) > 1 and specs[name].worst_and_best is None:
            scaled = [candidate for candidate, spec in specs.items() if spec.worst_and_best is not None]
            raise RecipeError(
                [
                    f"evaluate.selection: {name} has no worst and best value, so it cannot be multiplied with others; "
                    f"name it alone, or take one of {listed(scaled)}"
                ]
            )
    return Selection(tuple(specs[name] for name in names), metric_makers(engine, recipe, names))


def check_metrics(engine: Engine, recipe: Recipe) -> None:
    """Check the metrics that a recipe names, before anything is computed. :raises RecipeError: one cannot be used."""
    metric_makers(engine, recipe, recipe.evaluate.metrics)
    read_selection(engine, recipe)
