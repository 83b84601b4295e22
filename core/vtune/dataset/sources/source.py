"""What a source of clips is, and the usual source: recordings in a folder, words in tables or text files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vtune import audio
from vtune.audio.parts import OUTWARD_SECONDS, RecordingPart
from vtune.dataset.sources.fragments import clip_digest, clip_rate, clip_seconds, fragment_name, read_clip
from vtune.dataset.sources.part_index import PartIndex
from vtune.dataset.sources.plain_text import encoding_of, open_text, unfit_words
from vtune.dataset.sources.recordings import Recordings
from vtune.dataset.sources.table import Table, TableRecord
from vtune.errors import DataError
from vtune.types import Waveform

MAX_DESCRIBED_TABLES = 20
"""Tables that a run lists; LibriSpeech has thousands."""

MIN_ROWS_OF_ONE_RECORDING = 3
"""Rows from which a table of one recording without times was not understood; two may be two readings of the words."""


@dataclass(frozen=True, slots=True)
class Row:
    """One clip as its source lists it.

    :param audio: the name that ``Source.load`` takes; if the recording is not ``there``, the name in the table. In a
        folder the name is a path, or a part of a recording (``vtune.dataset.sources.fragments``).
    :param problem: why the clip cannot be used; None if it can.
    :param red_flags: why the words are doubtful, if a table says so.
    """

    file: str
    line: int | None
    audio: str
    text: str
    speaker: str
    problem: str | None = None
    there: bool = True
    red_flags: str = ""


class Source(Protocol):
    """Where clips come from.

    ``description`` has a line for each table about what was understood; ``has_speakers`` tells whether rows may name
    speakers.
    """

    description: list[str]
    has_speakers: bool

    def rows(self) -> Iterator[Row]:
        """Yield every clip in the source's own order; the method may be called again."""
        ...

    def seconds(self, name: str) -> float:
        """Return the seconds of a recording, from its header. :raises DataError: it cannot be read."""
        ...

    def rate(self, name: str) -> int:
        """Return the sample rate of a recording in Hz, from its header. :raises DataError: it cannot be read."""
        ...

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a recording's bytes, in hexadecimal."""
        ...

    def load(self, name: str, sample_rate: int) -> Waveform:
        """Read a recording as mono at a sample rate in Hz. :raises DataError: it cannot be read."""
        ...


class FolderSource:
    """Recordings in a folder, with words in tables or in a text file beside each recording.

    :param whole: recordings that no table names are rows too.
    """

    def __init__(self, root: Path, tables: list[Table], *, whole: bool) -> None:
        self._tables = tables
        self._whole = whole
        self._recordings = Recordings(root)
        self._parts = PartIndex()
        self.description = _describe(tables) or ["a text file beside each recording"]
        self.has_speakers = any(table.has_speakers for table in tables)

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the tables, then the recordings that no row names.

        :raises DataError: a table was misunderstood: it has no header and names no recording at all, or all its rows
            name one recording without times.
        """
        self._recordings.forget_names()
        self._find_parts()
        if not self._tables:
            yield from self._sidecars()
            return
        for table in self._tables:
            yield from self._listed(table)
        if self._whole:
            names = [table.path.name for table in self._tables]
            tables = " or ".join(names[:3]) + (f" or {len(names) - 3} more" if len(names) > 3 else "")
            for path, problem in self._recordings.rest():
                reason = problem or f"no row of {tables} names it"
                yield Row(path, None, path, "", "", reason, there=problem is None)
            yield from self._unnamed_parts(f"no row of {tables} names this part of the recording")

    def seconds(self, name: str) -> float:
        """Return the seconds of a recording or a part."""
        return clip_seconds(name)

    def rate(self, name: str) -> int:
        """Return the sample rate of a recording in Hz."""
        return clip_rate(name)

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a file, or the hash of a part."""
        return clip_digest(name)

    def load(self, name: str, sample_rate: int) -> Waveform:
        """Read a recording or a part."""
        return read_clip(name, sample_rate)[0]

    def _listed(self, table: Table) -> Iterator[Row]:
        first, any_there, rows_of, parts = None, False, Counter[str](), 0
        for record in table.records():
            path, problem = "", record.problem
            if record.audio:
                path, lost = self._recordings.find(record.audio, table.path.parent)
                problem = problem or lost
            if path:
                self._recordings.name(path)
            first, any_there, name = first or record, any_there or bool(path), path or record.audio
            if path and record.start is not None and not _is_as_long(path, record):
                name = fragment_name(path, self._parts.part(path, record.start, record.end))
                parts += 1
            elif path and not problem and len(rows_of) < 2:
                rows_of[path] += 1
            yield Row(
                str(table.path), record.line, name, record.text, record.speaker, problem,
                there=bool(path), red_flags=record.red_flags,
            )  # fmt: skip
        if first and table.names_are_guessed and not any_there:
            raise DataError(
                f"{table.path} has no header that is understood, and cell 1 names no recording in any row "
                f"(the first says {first.audio[:40]!r}); begin it with a line that names columns, like filename,text"
            )
        recording, rows = rows_of.most_common(1)[0] if len(rows_of) == 1 and not parts else ("", 0)
        if rows >= MIN_ROWS_OF_ONE_RECORDING:
            raise DataError(
                f"all {rows:,} rows of {table.path} name the recording {recording}, and no column says which part of "
                "the recording each row is; add the columns start,end in seconds"
            )

    def _find_parts(self) -> None:
        """Collect the parts that rows name, so that each part knows its neighbours."""
        self._parts.clear()
        for table in self._tables:
            for record in table.records() if table.has_times else ():
                if record.start is not None and record.audio:
                    path, _ = self._recordings.find(record.audio, table.path.parent)
                    if path and not _is_as_long(path, record):
                        self._parts.add(path, record.start, record.end)
        self._parts.complete()

    def _unnamed_parts(self, reason: str) -> Iterator[Row]:
        for path in self._parts.recordings():
            try:
                _, seconds = audio.header_of(Path(path))
            except DataError:
                continue  # each row of the recording has this as its reason
            for start, end in self._parts.gaps(path, seconds):
                name = fragment_name(path, RecordingPart(start, end))
                yield Row(path, None, name, "", "", reason)

    def _sidecars(self) -> Iterator[Row]:
        for path, problem in self._recordings.rest():
            text = sidecar(Path(path))
            if problem or text is None:
                reason = problem or "no table names it and no .txt or .lab lies beside it"
                yield Row(path, None, path, "", "", reason, there=problem is None)
                continue
            try:
                with open_text(text, encoding_of(text)) as file:
                    words = " ".join(file.read().split())
            except DataError as error:
                yield Row(str(text), 1, path, "", "", str(error))
                continue
            yield Row(str(text), 1, path, words, "", unfit_words(words))


def _describe(tables: list[Table]) -> list[str]:
    """Return one line a table, of the first tables."""
    lines = [table.describe() for table in tables[:MAX_DESCRIBED_TABLES]]
    left = len(tables) - len(lines)
    return [*lines, f"and {left:,} more tables"] if left else lines


def _is_as_long(path: str, record: TableRecord) -> bool:
    """Tell whether a row's times span as many seconds as its recording has: then they are times in another file.

    Tables of clips often say where in a longer recording each clip was cut out.
    """
    if record.start is None or record.end is None:
        return False
    try:
        _, seconds = audio.header_of(Path(path))
    except DataError:
        return False  # reading the part gives the reason
    return abs(record.end - record.start - seconds) <= OUTWARD_SECONDS


def sidecar(recording: Path) -> Path | None:
    """Return the text file beside a recording, if one is there."""
    return next((p for p in (recording.with_suffix(".txt"), recording.with_suffix(".lab")) if os.path.isfile(p)), None)
