"""One evaluation: the test set, what was spoken, and what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vtune.contract.metrics import BASE, TestSet, Utterance
from vtune.engines import Engine
from vtune.evaluation.metric_registry import may_read_numbers, metric_makers
from vtune.evaluation.report import write_page
from vtune.evaluation.scores import Scores, score
from vtune.evaluation.synthesis import System, synthesize_all, synthesize_train_sentences, with_numbers
from vtune.recipe import Recipe
from vtune.runtime.paths import write_json


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Test set, utterances and scores."""

    test_set: TestSet
    utterances: Sequence[Utterance] = ()
    scores: Scores = field(default_factory=Scores)

    def write(self, scores: Path, page: Path, title: str) -> None:
        """Write the scores as JSON and a page to listen to; nothing where nothing was spoken."""
        if self.utterances:
            write_json(scores, self.scores.settings())
            write_page(page, title, self.scores, self.utterances, self.test_set)


def evaluate(
    engine: Engine, systems: Sequence[System], test_set: TestSet, recipe: Recipe, baseline: str = BASE
) -> Evaluation:
    """Let systems speak the texts of a test set with every seed of the recipe, and measure what they spoke.

    :param systems: the voice first.
    :param baseline: the system that the others are compared with.
    """
    settings = recipe.evaluate
    if not test_set.texts:
        return Evaluation(test_set, scores=Scores(skipped={"scores": _why_nothing(recipe, test_set)}))
    seeds = range(settings.seed, settings.seed + settings.seeds)
    utterances = synthesize_all(systems, test_set.texts, seeds)
    makers = metric_makers(engine, recipe, settings.metrics)
    if may_read_numbers(makers):
        utterances = with_numbers(utterances, systems)
    utterances += synthesize_train_sentences(systems[0], test_set.train_texts, settings.train_sentences, settings.seed)
    return Evaluation(test_set, utterances, score(utterances, test_set, recipe, makers, baseline))


def _why_nothing(recipe: Recipe, test_set: TestSet) -> str:
    """Return the reason why a test set has no texts, and what to do."""
    if not recipe.evaluate.clips:
        return "evaluate.clips is 0; raise it to let the voice speak held-out sentences"
    if test_set.clips:
        return "the held-out clips have no words that can be spoken; name others under evaluate.source"
    if recipe.evaluate.source is None and not recipe.holds_clips_out:
        return "train.validation is 0, so no clip is held out; raise it, or name recordings under evaluate.source"
    return "no clip of the voice is held out; name recordings under evaluate.source, or raise train.validation"
