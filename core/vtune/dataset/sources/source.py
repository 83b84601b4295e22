"""What a source of clips is, and the usual source: recordings in a folder, words in tables or text files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vtune import audio
from vtune.dataset.sources.plain_text import encoding_of, open_text, unfit_words
from vtune.dataset.sources.recordings import Recordings
from vtune.dataset.sources.table import Table
from vtune.errors import DataError
from vtune.types import Waveform

MAX_DESCRIBED_TABLES = 20
"""Tables that a run lists; LibriSpeech has thousands."""


@dataclass(frozen=True, slots=True)
class Row:
    """One clip as its source lists it.

    :param audio: the name that ``Source.load`` takes; if the recording is not ``there``, the name in the table.
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
        self.description = _describe(tables) or ["a text file beside each recording"]
        self.has_speakers = any(table.has_speakers for table in tables)

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the tables, then the recordings that no row names.

        :raises DataError: a table without a header names no recording at all, so it was misunderstood.
        """
        self._recordings.forget_names()
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

    def seconds(self, name: str) -> float:
        """Return the seconds of a recording."""
        return audio.seconds_of(Path(name))

    def rate(self, name: str) -> int:
        """Return the sample rate of a recording in Hz."""
        return audio.rate_of(Path(name))

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a file."""
        return audio.digest_of(Path(name))

    def load(self, name: str, sample_rate: int) -> Waveform:
        """Read a recording."""
        return audio.read(Path(name), sample_rate)

    def _listed(self, table: Table) -> Iterator[Row]:
        first, any_there = None, False
        for record in table.records():
            path, problem = "", record.problem
            if record.audio:
                path, lost = self._recordings.find(record.audio, table.path.parent)
                problem = problem or lost
            if path:
                self._recordings.name(path)
            first, any_there = first or record, any_there or bool(path)
            name = path or record.audio
            yield Row(
                str(table.path), record.line, name, record.text, record.speaker, problem,
                there=bool(path), red_flags=record.red_flags,
            )  # fmt: skip
        if first and table.names_are_guessed and not any_there:
            raise DataError(
                f"{table.path} has no header that is understood, and cell 1 names no recording in any row "
                f"(the first says {first.audio[:40]!r}); begin it with a line that names columns, like filename,text"
            )

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


def sidecar(recording: Path) -> Path | None:
    """Return the text file beside a recording, if one is there."""
    return next((p for p in (recording.with_suffix(".txt"), recording.with_suffix(".lab")) if os.path.isfile(p)), None)
