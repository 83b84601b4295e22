"""Tables of clips in the forms the field uses, read row by row with line numbers.

CSV, TSV and pipes with or without a header (LJSpeech's ``id|text|normalized`` has none), JSON Lines, a JSON list.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtune.errors import DataError, nearest

SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".jsonl", ".json", ".ndjson"})

AUDIO_COLUMNS = (
    "filename",
    "file_name",
    "audio_path",
    "audio_filepath",
    "audio",
    "audio_file",
    "wav",
    "path",
    "file",
    "id",
)
TEXT_COLUMNS = ("text", "transcription", "transcript", "sentence", "normalized_text", "normalized")
SPEAKER_COLUMNS = ("speaker", "speaker_id", "speaker_name", "voice")

_DELIMITERS = (",", "\t", ";", "|")


class _Pipes(csv.excel):
    quoting = csv.QUOTE_NONE  # LJSpeech's words hold quotes that mean nothing


@dataclass(frozen=True, slots=True)
class Record:
    """One row: the raw name of the recording, the words, the speaker, and why it cannot be used, if so."""

    line: int
    audio: str
    text: str
    speaker: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column is which: names for tables with a header, else places."""

    audio: str
    text: str
    speaker: str | None
    header: tuple[str, ...] | None

    def describe(self) -> str:
        """Say aloud what was understood."""
        speaker = f", {self.speaker!r} is the speaker" if self.speaker else ""
        kind = "" if self.header else " (no header: id, words, normalised words)"
        return f"{self.audio!r} names the recording, {self.text!r} has the words{speaker}{kind}"


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
            return self._from_objects(_json_lines(self.path, self.encoding))
        if self.kind == "JSON list":
            return self._from_objects((place, item, None) for place, item in enumerate(_json_list(self.path), 1))
        return self._from_cells()

    def _from_objects(self, objects: Iterator[tuple[int, Any, str | None]]) -> Iterator[Record]:
        for line, item, problem in objects:
            if problem or not isinstance(item, dict):
                yield Record(line, "", "", "", problem or f"a JSON object was expected, found {str(item)[:40]!r}")
                continue
            speaker = item.get(self.columns.speaker) if self.columns.speaker else None
            yield _record(line, item.get(self.columns.audio), item.get(self.columns.text), speaker)

    def _from_cells(self) -> Iterator[Record]:
        header = self.columns.header
        places = {name: place for place, name in enumerate(header or ())}
        audio = places.get(self.columns.audio, 0)
        text = places.get(self.columns.text, -1)
        speaker = places.get(self.columns.speaker) if self.columns.speaker else None
        for number, (line, cells, problem) in enumerate(_cells(self.path, self.encoding, self.delimiter)):
            if number == 0 and header:
                continue
            if problem:
                yield Record(line, "", "", "", problem)
            elif header and len(cells) != len(header):
                hint = f"; quote words that hold {self.delimiter!r}" if len(cells) > len(header) else ""
                yield Record(line, cells[0], "", "", f"{len(cells)} cells where the header has {len(header)}{hint}")
            elif not header and len(cells) < 2:
                yield Record(line, cells[0], "", "", f"one cell; expected id{self.delimiter}words")
            else:
                yield _record(line, cells[audio], cells[text], cells[speaker] if speaker is not None else None)


def open_table(path: Path, audio: str | None = None, text: str | None = None, speaker: str | None = None) -> Table:
    """Look at the beginning of a table and tell its form.

    :param audio: the column that names recordings, where detection is not wanted; ``text``, ``speaker`` likewise.
    :raises DataError: the file cannot be read, is empty, or lacks a needed column (says which it has).
    """
    if path.suffix.lower() in {".jsonl", ".ndjson", ".json"}:
        return _open_json(path, audio, text, speaker)
    encoding = _encoding(path)
    delimiter = _delimiter(path, encoding)
    first = next((cells for _, cells, problem in _cells(path, encoding, delimiter) if not problem), None)
    if first is None:
        raise DataError(f"{path} has no rows")
    header = tuple(cell.strip() for cell in first)
    kind = {",": "CSV", "\t": "TSV", ";": "CSV with ';'", "|": "table with '|'"}[delimiter]
    named = {name.lower() for name in header}
    if not (named & {*AUDIO_COLUMNS, *TEXT_COLUMNS} or {audio, text} & set(header)) and len(header) >= 2:
        if audio or text or speaker:
            raise DataError(f"{path} has no header, so no column can be named {audio or text or speaker!r}")
        return Table(path, kind, encoding, delimiter, Columns("1", str(len(header)), None, None))
    return Table(path, kind, encoding, delimiter, _columns(path, header, audio, text, speaker))


def _open_json(path: Path, audio: str | None, text: str | None, speaker: str | None) -> Table:
    encoding = _encoding(path)
    kind = "JSON list" if path.suffix.lower() == ".json" else "JSON Lines"
    if kind == "JSON list":
        items: Iterator[Any] = iter(_json_list(path))
    else:
        items = (item for _, item, _ in _json_lines(path, encoding))
    first = next((item for item in items if isinstance(item, dict)), None)
    if first is None:
        raise DataError(f"{path} has no rows that are JSON objects")
    return Table(path, kind, encoding, "", _columns(path, tuple(map(str, first)), audio, text, speaker))


def _columns(path: Path, header: tuple[str, ...], audio: str | None, text: str | None, speaker: str | None) -> Columns:
    for asked in (audio, text, speaker):
        if asked is not None and asked not in header:
            raise DataError(f"{path} has no column {asked!r}{nearest(asked, header)} (it has: {', '.join(header)})")
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise DataError(f"{path}:1: column {twice!r} stands twice; rename one")
    found_audio = audio or _first(header, AUDIO_COLUMNS)
    found_text = text or _first(header, TEXT_COLUMNS)
    if found_audio is None or found_text is None:
        lacking = "recordings (audio_column)" if found_audio is None else "words (text_column)"
        raise DataError(
            f"{path} has the columns {', '.join(header)}, none of them known for {lacking}; name it in the recipe"
        )
    return Columns(found_audio, found_text, speaker or _first(header, SPEAKER_COLUMNS), header)


def _first(header: Sequence[str], known: Sequence[str]) -> str | None:
    lowered = {name.lower(): name for name in reversed(header)}
    return next((lowered[name] for name in known if name in lowered), None)


def _record(line: int, audio: Any, text: Any, speaker: Any) -> Record:
    name = audio.strip() if isinstance(audio, str) else ""
    words = " ".join(text.split()) if isinstance(text, str) else ""
    problem = None
    if not name:
        problem = "no recording is named"
    elif "\0" in name:
        problem = "the name of the recording holds a NUL character"
    elif not words:
        problem = "no words"
    return Record(line, name.replace("\0", ""), words, str(speaker).strip() if speaker is not None else "", problem)


def _cells(path: Path, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str], str | None]]:
    """Yield line, cells and problem of every row that is not blank."""
    with path.open(encoding=encoding, newline="") as file:
        reader = csv.reader(file, _Pipes if delimiter == "|" else csv.excel, delimiter=delimiter)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, UnicodeDecodeError) as error:
                yield line, [""], f"cannot be parsed: {error}"
                continue
            if any(cell.strip() for cell in cells):
                yield line, cells, None


def _json_lines(path: Path, encoding: str) -> Iterator[tuple[int, Any, str | None]]:
    with path.open(encoding=encoding) as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                yield line, json.loads(text), None
            except (ValueError, RecursionError) as error:
                yield line, None, f"not JSON: {error}"


def _json_list(path: Path) -> list[Any]:
    try:
        data = json.loads(path.read_text(encoding=_encoding(path)))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, list):
        raise DataError(f"{path} holds no JSON list; a .json table is a list of objects")
    return data


def _encoding(path: Path) -> str:
    """UTF-8 where the whole file is, else Windows-1252, which older spreadsheets write."""
    try:
        with path.open("rb") as file:
            decoder = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            while decoder.read(1 << 20):
                pass
        return "utf-8-sig"
    except UnicodeDecodeError:
        return "cp1252"
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _delimiter(path: Path, encoding: str) -> str:
    with path.open(encoding=encoding, errors="replace") as file:
        first = next((line for line in file if line.strip()), "")
    counts = {delimiter: first.count(delimiter) for delimiter in _DELIMITERS}
    best = max(counts, key=lambda delimiter: (counts[delimiter], -_DELIMITERS.index(delimiter)))
    # In LJSpeech's form the words hold commas, so a pipe decides.
    return "|" if counts["|"] else best
