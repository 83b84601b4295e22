"""Raw recordings as a source: cut and transcribed into the run's folder, then read like any folder with a table."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from vtune import audio
from vtune.dataset import find_raw
from vtune.errors import DataError
from vtune.folders import RunFolder
from vtune.prepare import Cutting, prepare_folder, recordings_of
from vtune.prepare.names import safe_stem
from vtune.recipe import Recipe
from vtune.transcribe import transcribe_folder
from vtune.transcribe.folder import TABLE
from vtune.types import EngineInfo

logger = logging.getLogger(__name__)


def raw_sources(recipe: Recipe, run: RunFolder) -> Iterator[tuple[int, Path, Path]]:
    """Yield place, recordings and folder for clips of each source that has no words yet.

    :raises DataError: a source is not there; says which.
    """
    for place, source in enumerate(recipe.data):
        try:
            found = find_raw(source, recipe.folder)
        except (DataError, OSError) as error:
            raise DataError(f"data.{place}: {error}") from error
        if found is not None:
            where = sha256(str(found.absolute()).encode("utf-8", "surrogatepass")).hexdigest()
            yield place, found, run.clips / f"{safe_stem(found.stem)}-{where[:8]}"


@dataclass(frozen=True, slots=True)
class Uncut:
    """Raw recordings of a source that no run has cut yet; ``seconds`` by their headers."""

    place: int
    recordings: int
    seconds: float


def uncut(recipe: Recipe, run: RunFolder) -> Iterator[Uncut]:
    """Yield the raw sources that still have to be cut, for a plan. :raises DataError: as ``raw_sources``."""
    for place, source, clips in raw_sources(recipe, run):
        if (clips / TABLE).is_file():
            continue
        lengths = [_seconds(Path(path)) for path, problem in recordings_of(source, clips) if problem is None]
        yield Uncut(place, len(lengths), sum(lengths))


def make_clips(recipe: Recipe, info: EngineInfo, run: RunFolder) -> None:
    """Cut and transcribe every raw source; what was done before under the same settings is not done again.

    Clips get the engine's rate; those of an engine that takes several keep their own.

    :raises VtuneError: nothing could be cut, or the recogniser cannot be had.
    """
    for place, recordings, clips in raw_sources(recipe, run):
        logger.info("data.%d: raw recordings; they are cut and transcribed into %s", place, clips)
        rate = None if info.clips_as_recorded else info.sample_rate
        prepared = prepare_folder(recordings, clips, Cutting.of(recipe.prepare, rate), recipe.prepare.processes)
        for line in prepared.lines():
            logger.info("%s", line)
        if not prepared.clips:
            raise DataError(f"data.{place}: no clip could be cut from {recordings}; {clips / 'ledger.jsonl'} says why")
        for line in transcribe_folder(clips, recipe.transcribe).lines():
            logger.info("%s", line)


def with_clips(recipe: Recipe, run: RunFolder) -> Recipe:
    """Return the recipe as the steps behind see it: clips in place of raw recordings."""
    data = list(recipe.data)
    for place, _, clips in raw_sources(recipe, run):
        data[place] = data[place].model_copy(update={"source": str(clips.absolute())})
    return recipe.model_copy(update={"data": data})


def _seconds(path: Path) -> float:
    try:
        return audio.seconds_of(path)
    except (DataError, OSError):
        return 0.0
