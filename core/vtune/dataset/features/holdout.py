"""What a voice is compared with: recordings and words that it was not trained on, and those that it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vtune.dataset.features.encode import load_clip
from vtune.dataset.features.manifest import SURVEY, ManifestEntry, open_sources, read_survey, survey
from vtune.engines import Engine
from vtune.errors import DataError
from vtune.recipe import Recipe, SourceRecipe
from vtune.runtime.paths import RunFolder
from vtune.types import Clip

STRANGERS = 8
"""Clips of other people that are read, at most."""


def held_out(recipe: Recipe, engine: Engine, run: RunFolder, voice: str) -> list[Clip]:
    """Read the clips that a voice is scored against: those of ``evaluate.source``, else the voice's validation clips.

    At most ``evaluate.clips``, spread over them all; those of the source that cannot be used are left out.

    :raises DataError: the source cannot be opened, nothing of it can be used, or something of it is trained on.
    """
    named = recipe.evaluate.source
    if named is None:
        items = [item for item in _surveyed(run) if item.voice == voice and item.split == "validation"]
        return _spread(recipe, engine, items, recipe.evaluate.clips)
    trained = {item.digest for item in _surveyed(run)}
    recipe, items = _named(recipe, "evaluate.source", named, voice)
    for item in items:
        if item.digest in trained:
            raise DataError(f"evaluate.source: {item.audio} is also among the clips of `data`; hold it out of them")
    return _spread(recipe, engine, items, recipe.evaluate.clips)


def trained_words(run: RunFolder, voice: str) -> list[str]:
    """Return the words of every training clip of a voice, as far as the run still knows them."""
    return [item.text for item in _surveyed(run) if item.voice == voice and item.split == "train"]


def impostor_clips(recipe: Recipe, engine: Engine, run: RunFolder, voice: str) -> list[Clip]:
    """Read a few clips of other people: those of ``evaluate.impostors``, else of the other voices of the data.

    :raises DataError: the source cannot be opened, or nothing of it can be used.
    """
    named = recipe.evaluate.impostors
    if named is None:
        items = [item for item in _surveyed(run) if item.voice != voice]
        return _spread(recipe, engine, items, STRANGERS)
    recipe, items = _named(recipe, "evaluate.impostors", named, "impostors")
    return _spread(recipe, engine, items, STRANGERS)


def _surveyed(run: RunFolder) -> Iterator[ManifestEntry]:
    listing: Path = run.features / SURVEY
    if listing.is_file():
        yield from (item for item in read_survey(listing) if item.reason is None)


def _named(recipe: Recipe, key: str, source: str, voice: str) -> tuple[Recipe, list[ManifestEntry]]:
    """Survey another source than the recipe's data, and return the recipe that its items belong to."""
    recipe = recipe.model_copy(update={"data": [SourceRecipe(source=source, voice=voice)]})
    try:
        sources = open_sources(recipe)
    except DataError as error:
        raise DataError(str(error).replace("data.0", key, 1)) from error
    items = [item for item in survey(recipe, sources) if item.reason is None]
    if not items:
        raise DataError(f"{key}: no clip of {source} can be used")
    return recipe, items


def _spread(recipe: Recipe, engine: Engine, items: list[ManifestEntry], count: int) -> list[Clip]:
    sources = open_sources(recipe)
    count = min(count, len(items))
    chosen = (items[place * len(items) // count] for place in range(count))
    return [load_clip(recipe, engine, sources[item.source], item) for item in chosen]
