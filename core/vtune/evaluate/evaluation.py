"""One voice, evaluated: the recordings, what was spoken, and what it scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vtune.engines import Engine
from vtune.evaluate.page import write_page
from vtune.evaluate.scores import Scores, score
from vtune.evaluate.takes import Take, speak_all
from vtune.folders import VoiceFolder, write_json
from vtune.recipe import Recipe
from vtune.types import Clip, Conditioning

if TYPE_CHECKING:
    from torch import nn

NOTHING_HELD = "no clip is held out; name some under evaluate.source, or hold a share of them by train.validation"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Held-out clips, takes of their words, and scores."""

    clips: Sequence[Clip]
    takes: Sequence[Take]
    scores: Scores

    def write(self, folder: VoiceFolder, name: str) -> None:
        """Write ``scores.json`` and ``listen.html`` into a voice folder; nothing where there was nothing to score.

        :param name: of the voice, for the page.
        """
        if self.takes:
            write_json(folder.scores, self.scores.settings())
            write_page(folder.page, name, self.scores, self.takes, self.clips)


def evaluate(
    engine: Engine, base: Any, model: nn.Module, conditioning: Conditioning, clips: Sequence[Clip], recipe: Recipe
) -> Evaluation:
    """Speak the words of held-out clips with a model in memory, tuned and untuned, and score what is heard.

    A fully fine-tuned model has no adapter to switch off: it is scored alone.
    """
    settings = recipe.evaluate
    if not clips:
        return Evaluation([], [], Scores([], [], [], skipped={"scores": NOTHING_HELD}))
    seeds = range(settings.seed, settings.seed + settings.seeds)
    untuned = (False, True) if recipe.train.method == "lora" else (False,)
    takes = speak_all(engine, base, model, conditioning, clips, seeds, untuned=untuned)
    return Evaluation(clips, takes, score(takes, clips, recipe))
