"""Find out what a source is: a folder with a table, a table, a folder with sidecar texts, or a data set."""

from __future__ import annotations

import os
from pathlib import Path

from vtune import audio
from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.recordings import Recordings
from vtune.dataset.sources.source import FolderSource, Source, sidecar
from vtune.dataset.sources.tables import find_tables, open_table, require_one_a_folder
from vtune.errors import DataError
from vtune.recipe import SourceRecipe, source_paths


def open_source(recipe: SourceRecipe, recipe_folder: Path) -> Source:
    """Open the source of clips that a recipe names, whatever it is.

    :raises DataError: there is no such source, or vtune does not understand it; says what was looked for.
    """
    from vtune.dataset.sources.hf_datasets import DatasetSource, is_saved_dataset

    if recipe.source.startswith("hub:"):
        return DatasetSource.from_hub(recipe)
    path = _locate(recipe.source, recipe_folder)
    if path.is_dir() and is_saved_dataset(path):
        return DatasetSource.from_disk(path, recipe)
    if path.suffix.lower() in {".parquet", ".arrow"} and path.is_file():
        return DatasetSource.from_file(path, recipe)
    if path.is_file():
        return FolderSource(path.parent, [open_table(path, _choice(recipe))], whole=False)
    if not path.is_dir():
        raise DataError(f"{path} is neither a folder nor a plain file")
    try:
        return _open_folder(path, recipe)
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}") from error


def find_raw(recipe: SourceRecipe, recipe_folder: Path) -> Path | None:
    """Return the path of a source that is recordings without words, a file or a folder; None for any other source.

    :raises DataError: there is no such source.
    """
    from vtune.dataset.sources.hf_datasets import holds_parquet, is_saved_dataset

    if recipe.source.startswith("hub:") or recipe.table is not None:
        return None
    path = _locate(recipe.source, recipe_folder)
    if path.is_file():
        return path if path.suffix.lower() in audio.SUFFIXES else None
    if not path.is_dir() or is_saved_dataset(path):
        return None
    split = path / recipe.split
    if find_tables(path) or (split.is_dir() and find_tables(split, max_depth=0)) or holds_parquet(path):
        return None
    recordings = Recordings(path)
    return path if _has_recordings(recordings) and not _has_sidecars(recordings) else None


def _locate(source: str, recipe_folder: Path) -> Path:
    paths = source_paths(source, recipe_folder)
    for path in paths:
        if os.path.exists(path):
            return path
    tried = dict.fromkeys(str(path.absolute()) for path in paths)
    raise DataError(f"there is no source {source!r} (looked for {' and '.join(tried)})")


def _open_folder(path: Path, recipe: SourceRecipe) -> Source:
    from vtune.dataset.sources.hf_datasets import DatasetSource, holds_parquet

    if recipe.table is not None:
        table = path / recipe.table
        if not os.path.isfile(table):
            raise DataError(f"{path} has no table {recipe.table!r}")
        return FolderSource(path, [open_table(table, _choice(recipe))], whole=True)
    # Hugging Face's audiofolder keeps each split in a folder of its own.
    split = path / recipe.split
    is_split = split.is_dir() and find_tables(split, max_depth=0) and not find_tables(path, max_depth=0)
    root = split if is_split else path
    tables = find_tables(root)
    require_one_a_folder(tables)
    if tables:
        return FolderSource(root, [open_table(table, _choice(recipe)) for table in tables], whole=True)
    if holds_parquet(path):
        return DatasetSource.from_folder(path, recipe)
    recordings = Recordings(root)
    if not _has_recordings(recordings):
        raise DataError(f"{root} has no recordings ({', '.join(sorted(audio.SUFFIXES))}) and no table")
    if not _has_sidecars(recordings):
        raise DataError(
            f"{root} has recordings but no words: put a table there (transcripts.csv with the columns filename,text), "
            "or a .txt beside each recording"
        )
    return FolderSource(root, [], whole=True)


def _choice(recipe: SourceRecipe) -> ColumnChoice:
    return ColumnChoice(recipe.audio_column, recipe.text_column, recipe.speaker_column)


def _has_recordings(recordings: Recordings) -> bool:
    return any(problem is None for _, problem in recordings.rest())


def _has_sidecars(recordings: Recordings) -> bool:
    return any(problem is None and sidecar(Path(name)) is not None for name, problem in recordings.rest())
