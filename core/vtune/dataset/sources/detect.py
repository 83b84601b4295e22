"""Find out what a source is: a folder beside a table, a table, sidecar texts, or a data set."""

from __future__ import annotations

import os
import re
from pathlib import Path

from vtune import audio
from vtune.dataset.sources import tables
from vtune.dataset.sources.columns import listed
from vtune.dataset.sources.recordings import Recordings
from vtune.dataset.sources.source import FolderSource, Source, sidecar
from vtune.dataset.sources.tables import Table, open_table
from vtune.errors import DataError
from vtune.recipe import SourceRecipe, source_paths


def open_source(recipe: SourceRecipe, recipe_folder: Path) -> Source:
    """Find out what a source is.

    :raises DataError: there is nothing there, or nothing that is understood; says what was looked for.
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
        if path.suffix.lower() not in tables.SUFFIXES:
            raise DataError(
                f"{path} is no table ({', '.join(sorted(tables.SUFFIXES))}, .parquet); name a folder or a table"
            )
        return FolderSource(path.parent, [_table(path, recipe)], whole=False)
    if not path.is_dir():
        raise DataError(f"{path} is neither a folder nor a plain file")
    try:
        return _open_folder(path, recipe)
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}") from error


def find_raw(recipe: SourceRecipe, recipe_folder: Path) -> Path | None:
    """Return a source that is raw recordings, without any words: a recording, or a folder of them; else None.

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
    if _tables_in(path) or _tables_below(path) or (split.is_dir() and _tables_in(split)) or holds_parquet(path):
        return None
    recordings = Recordings(path)
    return path if _is_any_there(recordings) and not _are_words_beside(recordings) else None


def _locate(source: str, recipe_folder: Path) -> Path:
    found = source_paths(source, recipe_folder)
    for path in found:
        if os.path.exists(path):
            return path
    places = dict.fromkeys(str(path.absolute()) for path in found)
    raise DataError(f"there is no source {source!r} (looked for {' and '.join(places)})")


def _open_folder(path: Path, recipe: SourceRecipe) -> Source:
    from vtune.dataset.sources.hf_datasets import DatasetSource, holds_parquet

    if recipe.table is not None:
        table = path / recipe.table
        if not os.path.isfile(table):
            raise DataError(f"{path} has no table {recipe.table!r}")
        return FolderSource(path, [_table(table, recipe)], whole=True)
    # Hugging Face's audiofolder keeps each split in a folder of its own.
    split = path / recipe.split
    root = split if split.is_dir() and _tables_in(split) and not _tables_in(path) else path
    found = _tables_in(root) or _tables_below(root)
    for table in found:
        beside = [other.name for other in found if other.parent == table.parent]
        if len(beside) > 1:
            raise DataError(f"{table.parent} has several tables ({listed(beside)}); say which with 'table:'")
    if found:
        return FolderSource(root, [_table(table, recipe) for table in found], whole=True)
    if holds_parquet(path):
        return DatasetSource.from_folder(path, recipe)
    recordings = Recordings(root)
    if not _is_any_there(recordings):
        raise DataError(f"{root} has no recordings ({', '.join(sorted(audio.SUFFIXES))}) and no table")
    if not _are_words_beside(recordings):
        raise DataError(
            f"{root} has recordings but no words: put a table there (transcripts.csv with the columns filename,text), "
            "or a .txt beside each recording"
        )
    return FolderSource(root, [], whole=True)


def _is_any_there(recordings: Recordings) -> bool:
    return any(problem is None for _, problem in recordings.rest())


def _are_words_beside(recordings: Recordings) -> bool:
    return any(problem is None and sidecar(Path(name)) is not None for name, problem in recordings.rest())


def _table(path: Path, recipe: SourceRecipe) -> Table:
    return open_table(path, recipe.audio_column, recipe.text_column, recipe.speaker_column)


# What vtune's own steps leave beside clips and tables.
_OWN = re.compile(r"(ledger|review|fixes)\.jsonl|check\.csv|.*\.heard\.jsonl")


def _tables_in(folder: Path) -> list[Path]:
    """Tables of a folder; a .txt or .json counts only with a name that tables have, for others are notes.

    :raises DataError: a FIFO, a device or a socket has the name of a table.
    """
    plain = {".csv", ".tsv", ".jsonl", ".ndjson"}
    named = {"metadata", "transcripts", "transcript", "manifest", "train"}
    found = []
    for name in sorted(os.listdir(folder)):
        stem, suffix = os.path.splitext(name)
        table = suffix.lower() in plain or (suffix.lower() in tables.SUFFIXES and stem.lower() in named)
        own = name.startswith(".") or _OWN.fullmatch(name) is not None
        path = folder / name
        if table and not own and os.path.exists(path) and not os.path.isdir(path) and not _is_sidecar(path):
            if not os.path.isfile(path):
                raise DataError(f"{path} has the name of a table, but is no regular file; take it away")
            found.append(path)
    return found


def _tables_below(folder: Path) -> list[Path]:
    named = (name for name in os.listdir(folder) if not name.startswith("."))
    children = sorted(name for name in named if os.path.isdir(folder / name))
    return [table for child in children for table in _tables_in(folder / child)]


def _is_sidecar(text: Path) -> bool:
    return text.suffix.lower() == ".txt" and any(os.path.isfile(text.with_suffix(s)) for s in audio.SUFFIXES)
