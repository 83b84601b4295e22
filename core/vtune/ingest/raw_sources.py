"""Cut and transcribe the raw recordings of a source into the run's folder, where they are read like any other data."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from vtune import audio
from vtune.dataset import find_raw, folder_question, notes_on_words
from vtune.errors import DataError
from vtune.ingest.prepare import CutSettings, prepare_folder, recordings_of
from vtune.ingest.prepare.clip_names import safe_stem
from vtune.ingest.prepare.cut_records import CONTENT_DIGITS, CutRecords
from vtune.ingest.transcribe import transcribe_folder
from vtune.ingest.transcribe.folder import TABLE_NAME
from vtune.recipe import Recipe
from vtune.runtime.distributed.rank_pool import ALONE, RankPool
from vtune.runtime.paths import RunFolder
from vtune.types import EngineInfo

logger = logging.getLogger(__name__)


def find_raw_sources(recipe: Recipe, run: RunFolder) -> Iterator[tuple[int, Path, Path]]:
    """Yield ``(index in data, path of the recordings, folder for the clips)`` of each source that has no words yet.

    The clips of a source are found again after the project was moved, with its recordings or without them.

    :raises DataError: a source does not exist; the message names it.
    """
    sources: dict[int, Path] = {}
    for index, source in enumerate(recipe.data):
        try:
            recordings = find_raw(source, recipe.folder)
        except (DataError, OSError) as error:
            raise DataError(f"data.{index}: {error}") from error
        if recordings is None:
            continue
        sources[index] = recordings
        if source.voice is None and (question := folder_question(recordings, source.speaker_folders)) is not None:
            raise DataError(f"data.{index}: {question}")
    folders = {index: _named_folder(recordings, run) for index, recordings in sources.items()}
    unclaimed = sorted(set(run.clips.glob("*/")) - set(folders.values()))
    for index, recordings in sources.items():
        if not folders[index].is_dir():
            moved = next((clips for clips in unclaimed if _holds_clips_of(recordings, clips)), None)
            if moved is not None:
                unclaimed.remove(moved)
                folders[index] = moved
        yield index, recordings, folders[index]


def _named_folder(source: Path, run: RunFolder) -> Path:
    """Return the folder for the clips of a source, named by its relative path: both can be moved together."""
    relative = os.path.relpath(source.absolute(), run.clips.absolute())
    digest = sha256(relative.encode("utf-8", "surrogatepass")).hexdigest()
    return run.clips / f"{safe_stem(source.stem)}-{digest[:8]}"


def _holds_clips_of(source: Path, clips: Path) -> bool:
    """Tell whether a folder holds the clips of a source, by the records in the folder.

    It does if all recorded paths lie in the source, or if none of them exists any more and the source has a recording
    with the same content. If some recorded paths still exist elsewhere, the clips belong to another source.
    """
    try:
        records = list(CutRecords(clips))
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
class PendingRecordings:
    """Raw recordings of one source that were not cut yet.

    :param index: index of the source in the recipe's ``data``.
    :param recordings: number of recordings.
    :param seconds: their length by their headers.
    :param notes: lines about words that lie beside them and are not read.
    """

    index: int
    recordings: int
    seconds: float
    notes: tuple[str, ...] = ()


def pending_recordings(recipe: Recipe, run: RunFolder) -> Iterator[PendingRecordings]:
    """Yield the raw sources that must still be cut, for ``vtune plan``.

    :raises DataError: a source does not exist.
    """
    for index, source, clips in find_raw_sources(recipe, run):
        if (clips / TABLE_NAME).is_file():
            continue
        lengths = [
            audio.stated_seconds(Path(path)) for path, problem in recordings_of(source, clips) if problem is None
        ]
        yield PendingRecordings(index, len(lengths), sum(lengths), tuple(notes_on_words(source)))


def prepare_clips(recipe: Recipe, info: EngineInfo, run: RunFolder, pool: RankPool = ALONE) -> None:
    """Cut and transcribe every raw source. Work that was done before with the same settings is kept.

    :param pool: the ranks that work; the main process calls this function inside ``pool.lead``.

    Clips get the engine's sample rate. If the engine accepts several rates, they keep the rate of their recording.

    :raises VtuneError: no clip could be cut, or the recogniser cannot be loaded.
    """
    for index, recordings, clips in find_raw_sources(recipe, run):
        for note in notes_on_words(recordings):
            logger.warning("data.%d: %s", index, note)
        logger.info("data.%d has no words yet: cutting and transcribing its recordings into %s", index, clips)
        rate = None if info.clips_as_recorded else info.sample_rate
        settings = CutSettings.from_recipe(recipe.prepare, rate)
        prepared = prepare_folder(recordings, clips, settings, recipe.prepare.processes, pool)
        for line in prepared.lines():
            logger.info("%s", line)
        if not prepared.clips:
            raise DataError(
                f"data.{index}: no clip could be cut from {recordings}; all reasons are in {clips / 'ledger.jsonl'}, "
                f"the first is: {prepared.problems[0]}"
            )
        for line in transcribe_folder(clips, recipe.transcribe, pool=pool).lines():
            logger.info("%s", line)


def prepared_recipe(recipe: Recipe, run: RunFolder) -> Recipe:
    """Return the recipe with each source of raw recordings replaced by the folder of its clips."""
    prepared, _ = prepared_data(recipe, run)
    return prepared


def prepared_data(recipe: Recipe, run: RunFolder) -> tuple[Recipe, list[Path]]:
    """Return the recipe with each source of raw recordings replaced by the folder of its clips, and their tables."""
    data, tables = list(recipe.data), []
    for index, _, clips in find_raw_sources(recipe, run):
        data[index] = data[index].model_copy(update={"source": str(clips.absolute()), "word_files": "use"})
        tables.append(clips / TABLE_NAME)
    return recipe.model_copy(update={"data": data}), [table for table in tables if table.is_file()]
