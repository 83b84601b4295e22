"""Measure a checkpoint: its voice speaks a few sentences, which the metrics of ``evaluate.selection`` score."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune.contract.metrics import VOICE, Metric, MetricMaker, MetricSpec, TestSet, Utterance
from vtune.engines import Engine
from vtune.errors import VtuneError
from vtune.evaluation.metric_registry import may_read_numbers
from vtune.evaluation.scores import score
from vtune.evaluation.selection import QUALITY, Selection, read_selection
from vtune.evaluation.synthesis import synthesize_batch, system_of, with_numbers
from vtune.evaluation.test_set import unique_texts
from vtune.recipe import Recipe
from vtune.runtime.progress import ProgressBar
from vtune.training.checkpoint_evaluation import EvalFn, EvalResult
from vtune.types import Conditioning
from vtune.voices.speech import Speaker

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)


class CheckpointMetrics:
    """Lets a checkpoint speak and measures it; networks of metrics stay loaded from one checkpoint to the next.

    :param condition: makes the conditioning of a voice, as the finished voice will have it.
    :raises VtuneError: a metric of the rule cannot be measured here. Without it the rule would choose wrongly: the
        words are best before anything is learned, and the similarity when everything else is lost.
    """

    def __init__(
        self,
        engine: Engine,
        base: Any,
        recipe: Recipe,
        selection: Selection,
        test_sets: Mapping[str, TestSet],
        condition: Callable[[str], Conditioning],
    ) -> None:
        self._engine, self._base, self._recipe, self._condition = engine, base, recipe, condition
        self._selection = selection
        self._test_sets = _share_sentences(recipe, test_sets)
        self._makers = {voice: _made(selection, test_set, recipe) for voice, test_set in self._test_sets.items()}

    @property
    def specs(self) -> Sequence[MetricSpec]:
        """Quality, which is chosen by, and the metrics that it is made of."""
        return [self._selection.quality_spec, *self._selection.specs]

    def __call__(self, model: nn.Module) -> EvalResult:
        """Let every voice speak its sentences; the metrics are means over the voices."""
        results = [self._measure(model, voice) for voice in self._test_sets]
        means = {
            spec.name: float(np.mean(values))
            for spec in self.specs
            if (values := [metrics[spec.name] for metrics, _ in results if spec.name in metrics])
        }
        many = len(results) > 1
        sounds = [
            (f"{voice}-{number:02d}" if many else f"{number:02d}", utterance.waveform, utterance.sample_rate)
            for voice, (_, utterances) in zip(self._test_sets, results, strict=True)
            for number, utterance in enumerate(utterances, 1)
        ]
        return EvalResult(means, sounds)

    def _measure(self, model: nn.Module, voice: str) -> tuple[dict[str, float], Sequence[Utterance]]:
        test_set = self._test_sets[voice]
        system = system_of(VOICE, Speaker(self._engine, self._base, model, self._condition(voice)))
        lines = [(text, self._recipe.evaluate.seed) for text in test_set.texts]
        with ProgressBar("speaking with the checkpoint", len(lines), "sentences") as bar:
            utterances = synthesize_batch(system, lines, bar.advance)
        if may_read_numbers(self._selection.makers):
            utterances = with_numbers(utterances, [system])
        scores = score(utterances, test_set, self._recipe, self._makers[voice], recordings=False)
        metrics = {name: mean for name in self._selection.names if (mean := scores.mean(name, VOICE)) is not None}
        return {QUALITY: self._selection.quality(scores, VOICE) or 0.0, **metrics}, utterances


def load_checkpoint_metrics(
    engine: Engine,
    base: Any,
    recipe: Recipe,
    test_sets: Mapping[str, TestSet],
    condition: Callable[[str], Conditioning],
) -> EvalFn | None:
    """Return what measures checkpoints; None, and a log line with the reason, where the loss must choose.

    :raises RecipeError: the recipe's ``evaluate.selection`` cannot be used.
    """
    selection = read_selection(engine, recipe)
    if not recipe.evaluate.checkpoint_sentences:
        return None
    try:
        measure = CheckpointMetrics(engine, base, recipe, selection, test_sets, condition)
    except VtuneError as reason:
        instead = "the last checkpoint" if recipe.train.early_stopping is None else "the one with the lowest loss"
        logger.info("Checkpoints cannot be chosen by %s, so %s becomes the voice: %s", selection.rule, instead, reason)
        return None
    logger.info("The best checkpoint is chosen by quality = %s", selection.rule)
    return measure


def _made(selection: Selection, test_set: TestSet, recipe: Recipe) -> dict[str, MetricMaker]:
    """Make the metrics once, each behind a maker that always returns it."""

    def always(metric: Metric) -> MetricMaker:
        return lambda *_: metric

    made = {}
    for group, make in selection.makers.items():
        try:
            made[group] = always(make(test_set, recipe))
        except VtuneError as reason:
            names = [spec.name for spec in selection.specs if spec in getattr(make, "specs", ())]
            raise VtuneError(f"{' and '.join(names) or group} cannot be measured here: {reason}") from reason
    return made


def _share_sentences(recipe: Recipe, test_sets: Mapping[str, TestSet]) -> dict[str, TestSet]:
    """Give each voice its share of the sentences, and none to some where there are more voices than sentences.

    The recipe's own sentences come first: a checkpoint is better not chosen by what the voice is scored by later.
    """
    count = recipe.evaluate.checkpoint_sentences
    voices = list(test_sets)[:count]
    shares = {}
    for index, voice in enumerate(voices):
        own, share = test_sets[voice], count // len(voices) + (index < count % len(voices))
        texts = unique_texts([*recipe.evaluate.sentences, *own.texts])[:share]
        shares[voice] = TestSet(texts, own.clips, (), (), own.language)
    return shares
