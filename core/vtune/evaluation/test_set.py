"""What voices are asked to say, and the recordings that they are compared with."""

from __future__ import annotations

from collections.abc import Iterable

from vtune import dataset
from vtune.contract.metrics import TestSet
from vtune.engines import Engine
from vtune.recipe import Recipe
from vtune.runtime.paths import RunFolder
from vtune.toolkit.pauses import is_speakable


def held_material(recipe: Recipe, engine: Engine, run: RunFolder, voice: str) -> TestSet:
    """Gather what a voice of a recipe is scored by. :raises DataError: see ``vtune.dataset.held_out``."""
    clips = dataset.held_out(recipe, engine, run, voice)
    return TestSet(
        once_each(clip.text for clip in clips),
        clips,
        dataset.trained_words(run, voice),
        dataset.impostor_clips(recipe, engine, run, voice),
        recipe.transcribe.language,
    )


def once_each(texts: Iterable[str]) -> list[str]:
    """Drop texts that come again, and those without a letter or a digit."""
    return list(dict.fromkeys(text.strip() for text in texts if is_speakable(text)))
