"""Read what a voice is scored with: held-out clips, impostor clips, and the texts of its training clips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vtune.dataset.features.encode import load_clip
from vtune.dataset.features.entry import ManifestEntry
from vtune.dataset.features.manifest import MANIFEST_NAME, manifest_entries, open_sources, read_manifest
from vtune.engines import Engine
from vtune.errors import DataError
from vtune.recipe import Recipe, SourceRecipe
from vtune.runtime.paths import RunFolder
from vtune.types import Clip

MAX_IMPOSTOR_CLIPS = 8
"""Largest number of clips of other speakers that are read."""


def held_out_clips(recipe: Recipe, engine: Engine, run: RunFolder, voice: str) -> list[Clip]:
    """Read the held-out clips of a voice: those of ``evaluate.source``, else the voice's validation clips.

    At most ``evaluate.clips`` clips are read, evenly spaced over all usable clips.

    :raises DataError: the source cannot be opened, has no usable clip, or shares a clip with the training data.
    """
    source = recipe.evaluate.source
    if source is None:
        entries = [entry for entry in _usable_entries(run) if entry.voice == voice and entry.split == "validation"]
        return _load_evenly(recipe, engine, entries, recipe.evaluate.clips)
    training_digests = {entry.digest for entry in _usable_entries(run)}
    recipe, entries = _entries_of(recipe, "evaluate.source", source, voice)
    for entry in entries:
        if entry.digest in training_digests:
            raise DataError(f"evaluate.source: {entry.audio} is also a clip of `data`; remove it from one of the two")
    return _load_evenly(recipe, engine, entries, recipe.evaluate.clips)


def training_texts(run: RunFolder, voice: str) -> list[str]:
    """Return the text of every training clip of a voice; the list is empty if the run has no manifest any more."""
    return [entry.text for entry in _usable_entries(run) if entry.voice == voice and entry.split == "train"]


def impostor_clips(recipe: Recipe, engine: Engine, run: RunFolder, voice: str) -> list[Clip]:
    """Read up to 8 clips of other speakers: those of ``evaluate.impostors``, else of the other voices in the data.

    :raises DataError: the source cannot be opened, or has no usable clip.
    """
    source = recipe.evaluate.impostors
    if source is None:
        entries = [entry for entry in _usable_entries(run) if entry.voice != voice]
        return _load_evenly(recipe, engine, entries, MAX_IMPOSTOR_CLIPS)
    recipe, entries = _entries_of(recipe, "evaluate.impostors", source, "impostors")
    return _load_evenly(recipe, engine, entries, MAX_IMPOSTOR_CLIPS)


def _usable_entries(run: RunFolder) -> Iterator[ManifestEntry]:
    manifest: Path = run.features / MANIFEST_NAME
    if manifest.is_file():
        yield from (entry for entry in read_manifest(manifest) if entry.reason is None)


def _entries_of(recipe: Recipe, key: str, source: str, voice: str) -> tuple[Recipe, list[ManifestEntry]]:
    """List the usable clips of another source than the recipe's data, and return the recipe they belong to."""
    recipe = recipe.model_copy(update={"data": [SourceRecipe(source=source, voice=voice)]})
    try:
        sources = open_sources(recipe)
    except DataError as error:
        raise DataError(str(error).replace("data.0", key, 1)) from error
    entries = [entry for entry in manifest_entries(recipe, sources) if entry.reason is None]
    if not entries:
        raise DataError(f"{key}: no clip of {source} can be used; vtune doctor {source} says why")
    return recipe, entries


def _load_evenly(recipe: Recipe, engine: Engine, entries: list[ManifestEntry], count: int) -> list[Clip]:
    sources = open_sources(recipe)
    count = min(count, len(entries))
    chosen = (entries[number * len(entries) // count] for number in range(count))
    return [load_clip(recipe, engine, sources[entry.source], entry) for entry in chosen]
