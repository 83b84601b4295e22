"""One evaluation: the words, what was spoken, and what it scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vtune.contract.metrics import BASE, TestSet, Utterance
from vtune.engines import Engine
from vtune.evaluation.metrics.registry import judges
from vtune.evaluation.report import write_page
from vtune.evaluation.scores import Scores, score
from vtune.evaluation.synthesis import System, speak_all, speak_trained
from vtune.recipe import Recipe
from vtune.runtime.paths import write_json

NOTHING_HELD = "no clip is held out; name some under evaluate.source, or hold a share of them by train.validation"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Material, takes and scores."""

    material: TestSet
    takes: Sequence[Utterance] = ()
    scores: Scores = field(default_factory=Scores)

    def write(self, scores: Path, page: Path, title: str) -> None:
        """Write the scores as JSON and a page to listen to; nothing where nothing was spoken."""
        if self.takes:
            write_json(scores, self.scores.settings())
            write_page(page, title, self.scores, self.takes, self.material)


def evaluate(
    engine: Engine, systems: Sequence[System], material: TestSet, recipe: Recipe, baseline: str = BASE
) -> Evaluation:
    """Let systems speak the material's texts with every seed of the recipe, and score what is heard.

    :param systems: the voice first.
    :param baseline: the system that the others are compared with.
    """
    settings = recipe.evaluate
    if not material.texts:
        return Evaluation(material, scores=Scores(skipped={"scores": NOTHING_HELD}))
    seeds = range(settings.seed, settings.seed + settings.seeds)
    takes = speak_all(systems, material.texts, seeds)
    takes += speak_trained(systems[0], material.trained, settings.trained, settings.seed)
    found = score(takes, material, recipe, judges(engine, recipe, settings.judges), baseline)
    return Evaluation(material, takes, found)
