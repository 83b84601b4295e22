"""Raw recordings as a source: cut and transcribed into the run's folder, then read like any folder with a table."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from vtune import audio
from vtune.dataset import find_raw
from vtune.errors import DataError
from vtune.ingest.prepare import Cutting, prepare_folder, recordings_of
from vtune.ingest.prepare.names import safe_stem
from vtune.ingest.prepare.records import CONTENT_DIGITS, Records
from vtune.ingest.transcribe import transcribe_folder
from vtune.ingest.transcribe.folder import TABLE
from vtune.recipe import Recipe
from vtune.runtime.paths import RunFolder
from vtune.types import EngineInfo

logger = logging.getLogger(__name__)


def raw_sources(recipe: Recipe, run: RunFolder) -> Iterator[tuple[int, Path, Path]]:
    """Yield place, recordings and folder for clips of each source that has no words yet.

    The clips of a source are found again wherever the project was moved to, with its recordings or without them.

    :raises DataError: a source is not there; says which.
    """
    sources: dict[int, Path] = {}
    for place, source in enumerate(recipe.data):
        try:
            found = find_raw(source, recipe.folder)
        except (DataError, OSError) as error:
            raise DataError(f"data.{place}: {error}") from error
        if found is not None:
            sources[place] = found
    folders = {place: _named_folder(found, run) for place, found in sources.items()}
    others = sorted(set(run.clips.glob("*/")) - set(folders.values()))
    for place, found in sources.items():
        if not folders[place].is_dir():
            former = next((clips for clips in others if _holds_clips_of(found, clips)), None)
            if former is not None:
                others.remove(former)
                folders[place] = former
        yield place, found, folders[place]


def _named_folder(source: Path, run: RunFolder) -> Path:
    """Return the folder for the clips of a source, by where it lies from the run: they are moved together."""
    where = os.path.relpath(source.absolute(), run.clips.absolute())
    digest = sha256(where.encode("utf-8", "surrogatepass")).hexdigest()
    return run.clips / f"{safe_stem(source.stem)}-{digest[:8]}"


def _holds_clips_of(source: Path, clips: Path) -> bool:
    """Whether a folder of clips, by its records, is of this source: of its very files, or of files that are gone since
    and that it has the contents of.

    Where the recordings of other clips are still there, they are another source's, even if one is in both.
    """
    try:
        records = list(Records(clips))
        if not records:
            return False
        recorded = [Path(record.recording).absolute() for record in records]
        if all(path.is_relative_to(source.absolute()) for path in recorded):
            return True
        if any(os.path.exists(path) for path in recorded):
            return False
        contents = {record.content for record in records}
        paths = (Path(path) for path, problem in recordings_of(source, clips) if problem is None)
        return any(audio.digest_of(path)[:CONTENT_DIGITS] in contents for path in paths)
    except DataError:
        return False


@dataclass(frozen=True, slots=True)
class Uncut:
    """Raw recordings of a source that no run has cut yet; ``seconds`` by their headers."""

    place: int
    recordings: int
    seconds: float


def pending_recordings(recipe: Recipe, run: RunFolder) -> Iterator[Uncut]:
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
