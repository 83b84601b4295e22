"""The sentences that voices are asked to speak, and the recordings that they are compared with."""

from __future__ import annotations

from collections.abc import Iterable

from vtune import dataset
from vtune.contract.metrics import TestSet
from vtune.engines import Engine
from vtune.recipe import Recipe
from vtune.runtime.paths import RunFolder
from vtune.toolkit.pauses import is_speakable


def held_out_test_set(recipe: Recipe, engine: Engine, run: RunFolder, voice: str) -> TestSet:
    """Gather the held-out words and recordings of a voice of a recipe.

    :raises DataError: see ``vtune.dataset.held_out_clips``.
    """
    clips = dataset.held_out_clips(recipe, engine, run, voice)
    return TestSet(
        unique_texts(clip.text for clip in clips),
        clips,
        dataset.training_texts(run, voice),
        dataset.impostor_clips(recipe, engine, run, voice),
        recipe.transcribe.language,
    )


def unique_texts(texts: Iterable[str]) -> list[str]:
    """Return each text once, without those that have neither a letter nor a digit."""
    return list(dict.fromkeys(text.strip() for text in texts if is_speakable(text)))
