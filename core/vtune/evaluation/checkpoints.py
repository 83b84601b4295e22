"""What training asks of a checkpoint: a few held-out sentences, judged by the rule that voices are chosen by."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune.contract.metrics import VOICE, Metric, MetricMaker, TestSet, Utterance
from vtune.engines import Engine
from vtune.errors import VtuneError
from vtune.evaluation.metrics.registry import judges
from vtune.evaluation.scores import Scores, score
from vtune.evaluation.selection import quality
from vtune.evaluation.synthesis import synthesize_batch, system_of
from vtune.evaluation.test_set import once_each
from vtune.recipe import Recipe
from vtune.runtime.progress import ProgressBar
from vtune.training.checkpoint_evaluation import QUALITY, EvalFn, EvalResult
from vtune.types import Conditioning

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

logger = logging.getLogger(__name__)

GROUPS = ("text", "voice")
"""Judges that quality is made of."""

TOLD = ("words", "likeness")
"""Figures that are logged beside it."""


class Listener:
    """Speaks and judges; the judges' networks stay loaded from one checkpoint to the next.

    :param keep: makes the conditioning of a voice, as the finished voice will have it.
    :raises VtuneError: words or likeness cannot be judged here. Either alone would choose wrongly: the words are best
        before anything is learned, and the likeness when everything else is lost.
    """

    def __init__(
        self,
        engine: Engine,
        base: Any,
        recipe: Recipe,
        materials: Mapping[str, TestSet],
        keep: Callable[[str], Conditioning],
    ) -> None:
        self._engine, self._base, self._recipe, self._keep = engine, base, recipe, keep
        self._parts = _shared_out(recipe, materials)
        self._makers: dict[str, dict[str, MetricMaker]] = {}
        for voice, material in self._parts.items():
            made = {group: make(material, recipe) for group, make in judges(engine, recipe, GROUPS).items()}
            self._makers[voice] = {group: _ready(judge) for group, judge in made.items()}

    def __call__(self, model: nn.Module) -> EvalResult:
        """Let every voice speak its sentences; figures are means over the voices."""
        found = [self._one(model, voice) for voice in self._parts]
        figures = {
            name: float(np.mean(values))
            for name in (QUALITY, *TOLD)
            if (values := [figures[name] for figures, _ in found if name in figures])
        }
        many = len(found) > 1
        takes = [
            (f"{voice}-{number:02d}" if many else f"{number:02d}", take.waveform, take.sample_rate)
            for voice, (_, spoken) in zip(self._parts, found, strict=True)
            for number, take in enumerate(spoken, 1)
        ]
        return EvalResult(figures, takes)

    def _one(self, model: nn.Module, voice: str) -> tuple[dict[str, float], Sequence[Utterance]]:
        kept, material = self._keep(voice), self._parts[voice]
        system = system_of(VOICE, self._engine, self._base, model, kept)
        lines = [(text, self._recipe.evaluate.seed) for text in material.texts]
        with ProgressBar("speaking with the checkpoint", len(lines), "sentences") as bar:
            takes = synthesize_batch(system, lines, bar.advance)
        scores = score(takes, material, self._recipe, self._makers[voice], recordings=False)
        figures = {name: mean for name in TOLD if (mean := scores.mean(name, VOICE)) is not None}
        return {QUALITY: _quality(scores), **figures}, takes


def listener(
    engine: Engine,
    base: Any,
    recipe: Recipe,
    materials: Mapping[str, TestSet],
    keep: Callable[[str], Conditioning],
) -> EvalFn | None:
    """Return what checkpoints are chosen by; None, and a line that says why, where it must be the loss."""
    if not recipe.evaluate.during:
        return None
    try:
        return Listener(engine, base, recipe, materials, keep)
    except VtuneError as reason:
        logger.info("checkpoints are chosen by loss, not by ear: %s", reason)
        return None


def _quality(scores: Scores) -> float:
    # A checkpoint that says too little to tell who speaks is the worst there is.
    return (quality(scores, VOICE) or 0.0) if scores.mean("likeness", VOICE) is not None else 0.0


def _ready(judge: Metric) -> MetricMaker:
    return lambda *_: judge


def _shared_out(recipe: Recipe, materials: Mapping[str, TestSet]) -> dict[str, TestSet]:
    """Give each voice its share of the sentences, and none where there are more voices than sentences.

    The recipe's own sentences come first: what a checkpoint is chosen by is better not what it is scored by.
    """
    count, voices = recipe.evaluate.during, list(materials)[: recipe.evaluate.during]
    found = {}
    for place, voice in enumerate(voices):
        own, share = materials[voice], count // len(voices) + (place < count % len(voices))
        texts = once_each([*recipe.evaluate.sentences, *own.texts])[:share]
        found[voice] = TestSet(texts, own.clips, (), (), own.language)
    return found
