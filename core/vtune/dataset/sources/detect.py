"""Find out what a source is: a folder with a table, a table, a folder with sidecar texts, or a data set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vtune import audio
from vtune.dataset.sources.columns import ColumnChoice, listed
from vtune.dataset.sources.folder_source import SAMPLED_RECORDINGS, FolderSource, shortly
from vtune.dataset.sources.formats import table_formats
from vtune.dataset.sources.own_files import JOURNAL_SUFFIX
from vtune.dataset.sources.recordings import Recordings
from vtune.dataset.sources.sidecars import sidecar_of
from vtune.dataset.sources.source import Source
from vtune.dataset.sources.speaker_folders import divide_by_folders
from vtune.dataset.sources.table import Table
from vtune.dataset.sources.tables import find_tables, format_of, open_table, require_one_a_folder, tables_beside
from vtune.dataset.sources.webdataset import ShardSource, find_shards, holds_recordings
from vtune.dataset.sources.word_files import UNPACK, WordEvidence, WordFile, look_at, stopping_error, word_files
from vtune.errors import DataError
from vtune.recipe import SourceRecipe, no_source, source_paths

MIN_SIDECAR_SHARE = 0.5
"""Share of the recordings with a text each from which texts are read rather than a table of an unusual name."""

SHOWN_NOTES = 4
"""Files with words that a command names."""


def open_source(recipe: SourceRecipe, recipe_folder: Path) -> Source:
    """Open the source of clips that a recipe names, whatever it is.

    :raises DataError: there is no such source, or vtune does not understand it; says what was looked for.
    """
    from vtune.dataset.sources.hf_datasets import DatasetSource, is_saved_dataset

    if recipe.source.startswith("hub:"):
        return DatasetSource.from_hub(recipe)
    path = locate(recipe.source, recipe_folder)
    if path.is_dir() and is_saved_dataset(path):
        return DatasetSource.from_disk(path, recipe)
    if path.suffix.lower() in {".parquet", ".arrow"} and path.is_file():
        return DatasetSource.from_file(path, recipe)
    if path.suffix.lower() == ".tar" and path.is_file() and holds_recordings(path):
        return ShardSource([path], _choice(recipe))
    if path.is_file() and _is_recording(path):
        tables = [open_table(table, _choice(recipe)) for table in tables_beside(path)]
        return _folder_source(path, tables, recipe) if tables else _open_without_table(path, recipe)
    if path.is_file():
        given = _open_given(path, path.parent, recipe)
        return _folder_source(_root_of(given), [given], recipe, lists_unnamed=False)
    if not path.is_dir():
        raise DataError(f"{path} is neither a folder nor a plain file")
    try:
        return _open_folder(path, recipe)
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}") from error


def find_raw(recipe: SourceRecipe, recipe_folder: Path) -> Path | None:
    """Return the path of a source that is recordings without words, a file or a folder; None for any other source.

    :raises DataError: there is no such source, or files that clearly hold its words are not understood.
    """
    from vtune.dataset.sources.hf_datasets import holds_parquet, is_saved_dataset

    if recipe.source.startswith("hub:") or recipe.table is not None:
        return None
    path = locate(recipe.source, recipe_folder)
    is_recording = path.is_file() and _is_recording(path)
    if not is_recording and (not path.is_dir() or is_saved_dataset(path)):
        return None
    recordings = Recordings(path)
    if recipe.word_files == "ignore":
        return path if _has_recordings(recordings) else None
    split = path / recipe.split
    if is_recording and tables_beside(path):
        return None
    if not is_recording and (
        find_tables(path) or (split.is_dir() and find_tables(split, max_depth=0)) or holds_parquet(path)
    ):
        return None
    if not _has_recordings(recordings) or _share_of_sidecars(recordings) > 0:
        return None
    files = word_files(recordings)
    if any(file.table_format for file in files):
        return None
    _stop_at(path, files)
    return path


def notes_on_words(path: Path) -> list[str]:
    """Return lines about words that lie beside recordings, for commands that only cut or transcribe recordings.

    :param path: a recording, or a folder of recordings.
    """
    if not path.exists():
        return []
    root = path if path.is_dir() else path.parent
    recordings = Recordings(path)
    tables = find_tables(path) if path.is_dir() else []
    used = [os.path.relpath(table, root) for table in tables if not _is_own_table(table)]
    notes = []
    if used:
        notes.append(f"{root} has a table ({shortly(used)}); this command does not read it, but 'source: {root}' does")
    elif not tables and _share_of_sidecars(recordings) > 0:
        notes.append(f"{root} has a text for each recording; this command does not read it, but 'source: {root}' does")
    files = [] if tables else word_files(recordings, sidecars_are_read=bool(notes))
    for file in files[:SHOWN_NOTES]:
        notes.append(f"not read: {file.describe(root)}; to use it, {_way_to_use(file, root)}")
    if len(files) > SHOWN_NOTES:
        notes.append(f"not read: {len(files) - SHOWN_NOTES} more files that may hold words")
    return notes


def folder_question(path: Path, choice: bool | None) -> str | None:
    """Return the question whether the folders of recordings without words are speakers; None where they divide nothing.

    The clips of one source lie together after the cutting, so the folders have to be sources of their own then.

    :param choice: ``speaker_folders`` of the source.
    """
    folders = dividing_folders(path, choice)
    if folders is None:
        return None
    return (
        f"the folders {folders} divide the recordings, and nothing names the speakers: give each speaker's "
        "folder an entry of its own under 'data:' with its 'voice:', or set 'speaker_folders: false' if all are one"
    )


def dividing_folders(path: Path, choice: bool | None = None) -> str | None:
    """Return the folders that may be speakers of recordings without words: ``"ann (12), ben (9)"``; else None."""
    folders = divide_by_folders(Recordings(path).counts_of_folders(), choice) if path.is_dir() else None
    return None if folders is None else folders.listed()


def locate(source: str, recipe_folder: Path) -> Path:
    """Return the path of a source: from the current folder, else from the recipe's folder.

    :raises DataError: there is no such file or folder.
    """
    for path in source_paths(source, recipe_folder):
        if os.path.exists(path):
            return path
    raise DataError(no_source(source, recipe_folder))


def _open_folder(path: Path, recipe: SourceRecipe) -> Source:
    from vtune.dataset.sources.hf_datasets import DatasetSource, holds_parquet

    if recipe.table is not None:
        table = path / recipe.table
        if not os.path.isfile(table):
            raise DataError(f"{path} has no table {recipe.table!r}")
        return _folder_source(path, [_open_given(table, path, recipe)], recipe)
    # Hugging Face's audiofolder keeps each split in a folder of its own.
    split = path / recipe.split
    is_split = split.is_dir() and find_tables(split, max_depth=0) and not find_tables(path, max_depth=0)
    root = split if is_split else path
    tables = find_tables(root)
    require_one_a_folder(tables)
    if tables:
        return _folder_source(root, [open_table(table, _choice(recipe)) for table in tables], recipe)
    if holds_parquet(path):
        return DatasetSource.from_folder(path, recipe)
    return _open_without_table(root, recipe)


def _open_without_table(root: Path, recipe: SourceRecipe) -> Source:
    """Open recordings with a text file each, or with a table of an unusual name.

    :raises DataError: there are no recordings or no words; names the files that may hold words.
    """
    recordings = Recordings(root)
    if not _has_recordings(recordings):
        if root.is_dir() and (shards := find_shards(root)):
            return ShardSource(shards, _choice(recipe))
        archives = [file.path.name for file in word_files(recordings) if file.remedy == UNPACK]
        hint = f"; it holds {listed(archives)}: {UNPACK}" if archives else ""
        raise DataError(f"{root} has no recordings ({', '.join(sorted(audio.SUFFIXES))}) and no table{hint}")
    share = _share_of_sidecars(recordings)
    files = word_files(recordings) if share < MIN_SIDECAR_SHARE else []
    named = [file for file in files if file.table_format is not None]
    tables = [file.table_format.open(file.path, _choice(recipe)) for file in named if file.table_format is not None]
    if len({table.path.parent for table in tables}) < len(tables):
        names = shortly([os.path.relpath(table.path, root) for table in tables])
        raise DataError(f"{root} has several tables ({names}); say which with 'table:' (one in each entry of 'data:')")
    if tables:
        return _folder_source(root, tables, recipe)
    if share > 0:
        return _folder_source(root, [], recipe)
    _stop_at(root, files)
    if root.is_file():
        raise DataError(f"{root} is a recording, not a table of clips, and no text with its name lies beside it")
    raise DataError(
        f"{root} has recordings but no words: put a table there (transcripts.csv with the columns filename,text), "
        "or a .txt beside each recording"
    )


def _open_given(path: Path, root: Path, recipe: SourceRecipe) -> Table:
    """Open a table that the user named: in the format that its name says, else in the format that its lines show.

    :raises DataError: the file is no table of clips; says what it is and what to do.
    """
    choice = _choice(recipe)
    if path.suffix.lower() in {
        ending for table_format in table_formats().values() for ending in table_format.sure_endings
    }:
        return open_table(path, choice)
    file = look_at(path, Recordings(root), is_namesake=False)
    if file is not None and file.evidence == WordEvidence.NAMES_RECORDINGS and not choice.names:
        if file.table_format is None:
            raise DataError(f"{path}: {file.reason}; {file.remedy}, or name the column with the words ('text_column:')")
        if format_of(path, is_given=True) is None:
            return file.table_format.open(path, choice)
    if file is not None and format_of(path, is_given=True) is None:
        raise DataError(f"{path} is not a table of clips: {file.reason}; {file.remedy}")
    return open_table(path, choice)


def _root_of(table: Table) -> Path:
    """Return the folder whose recordings a table names: its own, or that above (``transcript/`` beside ``wav/``)."""
    folder = table.path.parent
    first = next((record.audio for record in table.records() if record.audio), "")
    for root in (folder, folder.parent):
        if first and Recordings(root).find(first, folder)[0]:
            return root
    return folder


def _folder_source(
    root: Path, tables: list[Table], recipe: SourceRecipe, *, lists_unnamed: bool = True
) -> FolderSource:
    return FolderSource(root, tables, lists_unnamed=lists_unnamed, speaker_folders=recipe.speaker_folders)


def _stop_at(root: Path, files: Sequence[WordFile]) -> None:
    stopping = [file for file in files if file.evidence >= WordEvidence.BESIDE_RECORDING]
    if stopping:
        raise stopping_error(root, stopping)


def _way_to_use(file: WordFile, root: Path) -> str:
    return f"train on the folder itself: 'source: {root}' reads it" if file.table_format else file.remedy


def _is_own_table(table: Path) -> bool:
    """Tell whether vtune wrote a table: ``vtune transcribe`` leaves its journal beside it."""
    return os.path.isfile(table.with_suffix(JOURNAL_SUFFIX))


def _choice(recipe: SourceRecipe) -> ColumnChoice:
    return ColumnChoice(recipe.audio_column, recipe.text_column, recipe.speaker_column, recipe.voice)


def _is_recording(path: Path) -> bool:
    return path.suffix.lower() in audio.SUFFIXES


def _has_recordings(recordings: Recordings) -> bool:
    return any(problem is None for _, problem in recordings.rest())


def _share_of_sidecars(recordings: Recordings) -> float:
    """Return the share of the first recordings that have a text with plain words; of few such texts, look further."""
    looked_at = good = 0
    for name, problem in recordings.rest():
        if problem is not None:
            continue
        if looked_at >= SAMPLED_RECORDINGS and good:
            break
        looked_at += 1
        sidecar = sidecar_of(Path(name))
        good += sidecar is not None and sidecar.kind() is None
    return good / looked_at if looked_at else 0.0
