"""Find the tables of clips among files, and open each in the format that it is in."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from vtune import audio
from vtune.dataset.sources.columns import ColumnChoice, listed
from vtune.dataset.sources.cues import best_of_each_recording, word_files_of
from vtune.dataset.sources.formats import table_formats
from vtune.dataset.sources.own_files import is_own_file
from vtune.dataset.sources.table import FormatEvidence, Table, TableFormat
from vtune.errors import DataError

MAX_REFUSED_FILES = 50
"""Files of one ending in a folder that are no words beside a recording, after which no more of them are opened."""


def open_table(path: Path, choice: ColumnChoice | None = None) -> Table:
    """Open a table that the user named.

    :raises DataError: the file is no table, cannot be read, is empty, or lacks a needed column.
    """
    table_format = format_of(path, is_given=True)
    if table_format is None:
        endings = sorted({ending for table_format in table_formats().values() for ending in table_format.endings})
        raise DataError(f"{path} is not a table of clips ({', '.join(endings)}, .parquet); name a folder or a table")
    return table_format.open(path, choice or ColumnChoice())


def format_of(path: Path, *, is_given: bool) -> TableFormat | None:
    """Return the format that is surest of a file, or None if no format takes the file.

    :param is_given: the user named the file; else it was found in a folder.
    :raises DataError: two formats are equally sure, or the file cannot be read.
    """
    formats = table_formats()
    evidence = {
        table_format.name: format_evidence
        for table_format in formats.values()
        if table_format.has_name(path.name, is_given=is_given)
        and (format_evidence := table_format.evidence(path)) is not None
    }
    surest = max((format_evidence.certainty for format_evidence in evidence.values()), default=None)
    names = [name for name, format_evidence in evidence.items() if format_evidence.certainty == surest]
    if len(names) > 1:
        reasons = " or ".join(_reason(name, evidence[name]) for name in names)
        raise DataError(f"{path} could be {reasons}; give it the ending of one of them")
    return formats[names[0]] if names else None


def find_tables(folder: Path, *, max_depth: int | None = None) -> list[Path]:
    """Return the tables of a folder; where it has none, those of the nearest folders below it that have some.

    :param max_depth: folders below; default: as deep as the tables of some format lie.
    :raises DataError: a FIFO, a device or a socket has the name of a table, or one folder has several tables.
    """
    deepest = max(table_format.max_depth for table_format in table_formats().values())
    folders, all_tables = [folder], list[tuple[Path, TableFormat]]()
    for depth in range(1 + (deepest if max_depth is None else max_depth)):
        tables = [table for below in folders for table in _tables_in(below, depth)]
        all_tables += tables
        if any(not table_format.lies_beside for _, table_format in tables):
            break
        folders = [child for below in folders for child in _folders_in(below)]
    return best_of_each_recording(all_tables)


def tables_beside(recording: Path) -> list[Path]:
    """Return the file with the words of one recording that lies beside it, in a list; an empty list without one.

    :raises DataError: several such files have different words.
    """
    paths = [recording.with_name(name) for name in word_files_of(recording)]
    formats = [(path, format_of(path, is_given=False)) for path in paths if os.path.isfile(path)]
    return best_of_each_recording(
        [
            (path, table_format)
            for path, table_format in formats
            if table_format is not None and table_format.lies_beside
        ]
    )


def require_one_a_folder(tables: list[Path]) -> None:
    """Refuse several tables in one folder, unless each of them is of other recordings by its format.

    :raises DataError: names them.
    """
    beside: dict[Path, list[Path]] = {}
    for table in tables:
        beside.setdefault(table.parent, []).append(table)
    for folder, several in beside.items():
        formats = [format_of(table, is_given=False) for table in several] if len(several) > 1 else []
        if any(table_format is None or not table_format.allows_several for table_format in formats):
            names = listed([table.name for table in several])
            raise DataError(
                f"{folder} has several tables ({names}); say which with 'table:' (one in each entry of 'data:')"
            )


def _tables_in(folder: Path, depth: int) -> Iterator[tuple[Path, TableFormat]]:
    names = sorted(name for name in os.listdir(folder) if not name.startswith(".") and not is_own_file(name))
    stems = {os.path.splitext(name)[0] for name in names if _is_recording(name)}
    formats = [table_format for table_format in table_formats().values() if depth <= table_format.max_depth]
    refused = Counter[str]()
    for name in names:
        stem, ending = os.path.splitext(name)
        takers = [] if _is_recording(name) else [f for f in formats if f.has_name(name, is_given=False)]
        is_sidecar = ending.lower() == ".txt" and stem in stems
        if is_sidecar:
            takers = [table_format for table_format in takers if table_format.lies_beside]
        is_bulk = refused[ending] >= MAX_REFUSED_FILES and all(table_format.lies_beside for table_format in takers)
        path = folder / name
        if not takers or is_bulk or not os.path.exists(path) or os.path.isdir(path):
            continue
        if not os.path.isfile(path):
            raise DataError(f"{path} has the name of a table, but is not a regular file; remove it")
        table_format = format_of(path, is_given=False)
        if table_format in takers:
            yield path, table_format
        elif table_format is None:
            refused[ending] += 1


def _folders_in(folder: Path) -> list[Path]:
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    return [folder / name for name in names if os.path.isdir(folder / name)]


def _is_recording(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in audio.SUFFIXES


def _reason(name: str, evidence: FormatEvidence) -> str:
    return f"{name} ({evidence.reason})"
