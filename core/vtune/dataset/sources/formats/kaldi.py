"""Kaldi's and ESPnet's data folders: ``wav.scp`` names the recordings, ``text`` has the words.

A line of ``wav.scp`` may be a shell command that writes sound (``sox a.wav -t wav - |``). Commands are never run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.name_lines import NameLinesLayout, NameLinesTable, without_word_gaps
from vtune.dataset.sources.part_times import WHOLE_RECORDING, PartTimes, TimeColumns
from vtune.dataset.sources.plain_text import encoding_of, open_text
from vtune.dataset.sources.scratch import scratch
from vtune.dataset.sources.table import Certainty, FormatEvidence, TableFormat, TableRecord, make_record
from vtune.errors import DataError

RECORDINGS_NAME, SEGMENTS_NAME, SPEAKERS_NAME = "wav.scp", "segments", "utt2spk"

_ARCHIVE_OFFSET = re.compile(r"\.ark:\d+$")


class KaldiFormat(TableFormat):
    """A folder of files whose lines begin with the name of an utterance; ``text`` is the main file."""

    name = "Kaldi data folder"
    endings = ("text beside wav.scp",)
    max_depth = 3  # egs/x with data/train, where the source may be the folder above
    allows_several = True

    def has_name(self, name: str, *, is_given: bool) -> bool:
        """Take ``text``."""
        return name == "text"

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Look for ``wav.scp`` beside the file."""
        if not os.path.isfile(path.with_name(RECORDINGS_NAME)):
            return None
        return FormatEvidence(Certainty.BY_CONTENT, f"{RECORDINGS_NAME} lies beside it")

    def open(self, path: Path, choice: ColumnChoice) -> KaldiTable:
        """Refuse columns, which these files do not have."""
        self.refuse_columns(path, choice)
        table = KaldiTable(path, encoding_of(path))
        if next(table.lines(), None) is None:
            raise DataError(f"{path} has no rows")
        return table


@dataclass(frozen=True, slots=True)
class KaldiTable(NameLinesTable):
    """One data folder."""

    @property
    def format(self) -> TableFormat:
        """Kaldi."""
        return FORMAT

    @property
    def has_speakers(self) -> bool:
        """Whether ``utt2spk`` is there."""
        return self._has(SPEAKERS_NAME)

    @property
    def has_times(self) -> bool:
        """Whether ``segments`` is there."""
        return self._has(SEGMENTS_NAME)

    @property
    def names_are_guessed(self) -> bool:
        """Nothing is guessed: ``wav.scp`` names the recordings."""
        return False

    def describe(self) -> str:
        """Say which files are read."""
        segments = f", {SEGMENTS_NAME} has the times of each row" if self._has(SEGMENTS_NAME) else ""
        speakers = f", {SPEAKERS_NAME} names the speakers" if self.has_speakers else ""
        return self._described(
            self.format.name, f"{RECORDINGS_NAME} names the recordings, text has the words{segments}{speakers}"
        )

    def records(self) -> Iterator[TableRecord]:
        """Yield a row for each line of ``text``."""
        recording_of = KeyedLines(self.path.with_name(RECORDINGS_NAME))
        segment_of = KeyedLines(self.path.with_name(SEGMENTS_NAME)) if self._has(SEGMENTS_NAME) else None
        speaker_of = KeyedLines(self.path.with_name(SPEAKERS_NAME)) if self.has_speakers else None
        for line, name, words in self.lines():
            recording, times = name, WHOLE_RECORDING
            if segment_of is not None:
                recording, times = _segment(name, segment_of.get(name))
            audio = recording_of.get(recording)
            problem = _recording_problem(recording, audio) if times.problem is None else None
            speaker = speaker_of.get(name) if speaker_of is not None else None
            named = audio if audio and problem is None else recording
            yield make_record(line, named, without_word_gaps(words), speaker, problem, times=times)

    def layout(self, text: str, records: list[TableRecord]) -> KaldiLayout:
        """Find the line of each row."""
        return KaldiLayout(self, text, [record.line for record in records])

    def _has(self, name: str) -> bool:
        return os.path.isfile(self.path.with_name(name))


class KaldiLayout(NameLinesLayout):
    """Rows of ``text``; a new row would need a line in the other files as well."""

    def new_row(self, like: str | None, name: str, words: str) -> str:
        """Refuse: a recording is named in ``wav.scp``."""
        raise DataError(
            f"{self._table.path} is part of a Kaldi data folder, so rows are not added to it; do it by hand"
        )


class KeyedLines:
    """The lines of a file by their first word, on disk, so that memory does not grow with the file."""

    def __init__(self, path: Path) -> None:
        self._tables = scratch(self, "CREATE TABLE lines (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
        with open_text(path, encoding_of(path)) as file:
            self._tables.executemany("INSERT OR IGNORE INTO lines VALUES (?, ?)", map(_key_and_value, file))

    def get(self, key: str) -> str | None:
        """Return what follows a word in its line; None if no line begins with it."""
        row = self._tables.execute("SELECT value FROM lines WHERE key = ?", (_bytes(key),)).fetchone()
        return None if row is None else row[0].decode("utf-8", "surrogatepass")


def _key_and_value(line: str) -> tuple[bytes, bytes]:
    key, _, value = line.strip().replace("\t", " ", 1).partition(" ")
    return _bytes(key), _bytes(value.strip())


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _segment(name: str, line: str | None) -> tuple[str, PartTimes]:
    """Return the recording of an utterance and its times; an end of -1 is the recording's end."""
    if line is None:
        return name, PartTimes.unusable(f"{SEGMENTS_NAME} has no line for {name[:80]!r}")
    cells = line.split()
    if len(cells) != 3:
        return name, PartTimes.unusable(
            f"{SEGMENTS_NAME} has no recording, start and end for {name[:80]!r}: {line[:80]!r}"
        )
    return cells[0], TimeColumns("start", "end").read({"start": cells[1], "end": cells[2]})


def _recording_problem(name: str, audio: str | None) -> str | None:
    if audio is None:
        return f"{RECORDINGS_NAME} has no line for {name[:80]!r}"
    if audio.endswith("|"):
        return (
            f"{RECORDINGS_NAME} has a shell command for {name[:80]!r}, which vtune does not run ({audio[:80]!r}); "
            "run the command yourself, and write the path of the recording there"
        )
    if _ARCHIVE_OFFSET.search(audio):
        return (
            f"{RECORDINGS_NAME} names a place in a Kaldi archive ({audio[:80]!r}); write the path of a recording there"
        )
    return None


FORMAT = KaldiFormat()
