"""Tables of clips in the forms the field uses, read row by row with line numbers.

CSV, TSV and pipes with or without a header (LJSpeech's ``id|text|normalized`` has none), JSON Lines, a JSON list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtune.dataset.sources.columns import AUDIO_COLUMNS, FLAGS_COLUMN, TEXT_COLUMNS, Columns, listed, pick_columns
from vtune.dataset.sources.delimited import KINDS, delimiter_of, read_rows
from vtune.dataset.sources.json_rows import read_json_lines, read_json_list
from vtune.dataset.sources.plain_text import encoding_of, unfit_words
from vtune.errors import DataError

SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".jsonl", ".json", ".ndjson"})


@dataclass(frozen=True, slots=True)
class Record:
    """One row: the raw name of the recording, the words, the speaker, and why it cannot be used, if so.

    :param red_flags: why the words are doubtful, where the table says so.
    """

    line: int
    audio: str
    text: str
    speaker: str
    problem: str | None = None
    red_flags: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One table file, understood but not yet read."""

    path: Path
    kind: str
    encoding: str
    delimiter: str
    columns: Columns

    def describe(self) -> str:
        """Say aloud what was understood."""
        note = "" if self.encoding.startswith("utf-8") else f", read as {self.encoding}"
        return f"{self.path.name}: {self.kind}{note}; {self.columns.describe()}"

    def records(self) -> Iterator[Record]:
        """Yield every row with its line number; rows that cannot be used carry their problem."""
        if self.kind == "JSON Lines":
            return self._from_objects(read_json_lines(self.path, self.encoding))
        if self.kind == "JSON list":
            return self._from_objects((line, item, None) for line, item in read_json_list(self.path, self.encoding))
        return self._from_cells()

    def _from_objects(self, objects: Iterator[tuple[int, Any, str | None]]) -> Iterator[Record]:
        for line, item, problem in objects:
            if problem or not isinstance(item, dict):
                yield Record(line, "", "", "", problem or f"a JSON object was expected, found {str(item)[:40]!r}")
                continue
            speaker = item.get(self.columns.speaker) if self.columns.speaker else None
            flags = item.get(FLAGS_COLUMN)
            yield _record(line, item.get(self.columns.audio), item.get(self.columns.text), speaker, flags=flags)

    def _from_cells(self) -> Iterator[Record]:
        columns, width = self.columns, self.columns.width
        names = columns.header or tuple(str(place) for place in range(1, width + 1))
        audio, text = names.index(columns.audio), names.index(columns.text)
        speaker = names.index(columns.speaker) if columns.speaker else None
        flags = names.index(FLAGS_COLUMN) if FLAGS_COLUMN in names else None
        ahead = columns.header is not None
        for line, cells, problem in read_rows(self.path, self.encoding, self.delimiter):
            if ahead and problem is None:
                ahead = False
                continue
            # Spreadsheets pad rows with empty cells.
            if len(cells) < width or any(cell.strip() for cell in cells[width:]):
                problem = problem or self._miscounted(len(cells))
            if problem:
                name = cells[audio] if audio < len(cells) else ""
                yield _record(line, name, "", None, problem)
            else:
                who = cells[speaker] if speaker is not None else None
                yield _record(line, cells[audio], cells[text], who, flags=cells[flags] if flags is not None else None)

    def _miscounted(self, count: int) -> str:
        where = "header" if self.columns.header else "first row"
        hint = f"; quote words that hold {self.delimiter!r}" if count > self.columns.width else ""
        return f"{count} {'cell' if count == 1 else 'cells'} where the {where} has {self.columns.width}{hint}"


def open_table(path: Path, audio: str | None = None, text: str | None = None, speaker: str | None = None) -> Table:
    """Look at the beginning of a table and tell its form.

    :param audio: the column that names recordings, where detection is not wanted; ``text``, ``speaker`` likewise.
    :raises DataError: the file cannot be read, is empty, or lacks a needed column (says which it has).
    """
    if path.suffix.lower() in {".jsonl", ".ndjson", ".json"}:
        return _open_json(path, audio, text, speaker)
    encoding = encoding_of(path)
    delimiter = delimiter_of(path, encoding)
    rows = read_rows(path, encoding, delimiter)
    line, first = next(((line, cells) for line, cells, problem in rows if not problem), (0, []))
    if not first:
        raise DataError(f"{path} has no rows")
    header = tuple(cell.strip() for cell in first)
    named = {name.lower() for name in header}
    if not (named & {*AUDIO_COLUMNS, *TEXT_COLUMNS} or {audio, text} & set(header)) and len(header) >= 2:
        if audio or text or speaker:
            raise DataError(f"{path} has no header, so no column can be named {audio or text or speaker!r}")
        if delimiter in ",;" and len(header) > 2:
            raise DataError(
                f"{path}:{line} has {len(header)} cells, {listed(header)}, and no header says which holds the words; "
                f"begin the table with a line like filename{delimiter}text"
            )
        columns = Columns("1", str(len(header)), None, None, len(header))
        return Table(path, KINDS[delimiter], encoding, delimiter, columns)
    return Table(path, KINDS[delimiter], encoding, delimiter, pick_columns(path, line, header, audio, text, speaker))


def _open_json(path: Path, audio: str | None, text: str | None, speaker: str | None) -> Table:
    encoding = encoding_of(path)
    kind = "JSON list" if path.suffix.lower() == ".json" else "JSON Lines"
    first: tuple[int, dict[Any, Any]] | None = None
    if kind == "JSON list":
        # Read to its end, for a list that breaks off is no list.
        for line, item in read_json_list(path, encoding):
            if first is None and isinstance(item, dict):
                first = line, item
    else:
        rows = read_json_lines(path, encoding)
        first = next(((line, item) for line, item, _ in rows if isinstance(item, dict)), None)
    if first is None:
        raise DataError(f"{path} has no rows that are JSON objects")
    return Table(path, kind, encoding, "", pick_columns(path, first[0], tuple(first[1]), audio, text, speaker))


def _record(line: int, audio: Any, text: Any, speaker: Any, problem: str | None = None, flags: Any = None) -> Record:
    name = audio.strip() if isinstance(audio, str) else ""
    words = " ".join(text.split()) if isinstance(text, str) else ""
    if problem is None and not name:
        problem = "no recording is named"
    elif problem is None and "\0" in name:
        problem = "the name of the recording holds a NUL character"
    return Record(
        line,
        name.replace("\0", ""),
        words,
        str(speaker).strip() if speaker is not None else "",
        problem or unfit_words(words),
        " ".join(flags.split()) if isinstance(flags, str) else "",
    )
