"""Texts with times beside one recording: subtitles, labels, and what recognisers write; cues become clips.

``vtune.dataset.sources.cue_texts`` has what happens to their texts.
"""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from vtune import audio
from vtune.audio.parts import MAX_OVERRUN_SECONDS
from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.cue_texts import MAX_CUE_CHARACTERS, Cue, joined, too_long
from vtune.dataset.sources.part_times import PartTimes, checked_times
from vtune.dataset.sources.plain_text import encoding_of, open_text
from vtune.dataset.sources.table import Certainty, FormatEvidence, Table, TableFormat, TableRecord, make_record
from vtune.errors import DataError

MAX_FILE_BYTES = 1 << 26
"""Bytes of the largest file of cues: subtitles of a day of speech have 2 MB, TextGrids with phones 40 MB."""


MIN_SHARE_OF_RECORDING = 0.2
"""Share of the recording that the last label reaches at least, for the unit of its times to be right."""

MIN_SAME_WORDS = 0.98
"""Share of the words that two files beside one recording have in common, from which they are the same text."""

HEAD_CHARACTERS = 1 << 14
"""Characters at the beginning of a file that show its format."""

_UNITS_SECONDS = (1.0, 1e-3, 1e-7)  # times are written in seconds, in milliseconds, or in HTK's 100 ns
_SUFFIXES = tuple(sorted(audio.SUFFIXES, key=lambda suffix: (suffix != ".wav", suffix != ".flac", suffix)))
_WORD_ENDINGS = tuple(".srt .vtt .sbv .ass .ssa .lrc .tsv .csv .json .jsonl .textgrid .txt .lab".split())  # noqa: SIM905
_WORD = re.compile(r"\w+")
_LANGUAGE = re.compile(r"\.[a-z]{2,3}(-[A-Za-z]{2,8})?(\.(sdh|cc|forced|auto|orig))?$", re.IGNORECASE)


class CueFormat(TableFormat):
    """A format whose files lie beside one recording each, and have its name."""

    max_depth = 3
    allows_several = lies_beside = True
    joins: ClassVar[bool] = True
    """Whether cues are pieces of sentences; labels that somebody set are clips as they are."""
    rank: ClassVar[int]
    """Of several files beside one recording, the one of the smallest rank is read."""
    kind: ClassVar[str]
    """What a file is, for users."""

    def has_name(self, name: str, *, is_given: bool) -> bool:
        """Take every file with one of the endings: its content decides."""
        return name.lower().endswith(self.endings)

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Look for times and texts at the beginning of the file."""
        with open_text(path, encoding_of(path)) as file:
            reason = self.sign(path, file.read(HEAD_CHARACTERS))
        return None if reason is None else FormatEvidence(Certainty.BY_CONTENT, reason)

    @abstractmethod
    def sign(self, path: Path, head: str) -> str | None:
        """Return what in the first 16,384 characters shows that the file is of this format; None if nothing does."""

    @abstractmethod
    def cues(self, path: Path, text: str, choice: ColumnChoice) -> Iterable[Cue]:
        """Return the cues of a file, in any order.

        :raises DataError: the file is of this format, but has no words or cannot be understood.
        """

    def open(self, path: Path, choice: ColumnChoice) -> CueTable:
        """Read the cues once, for the description. :raises DataError: there are none."""
        table = CueTable(path, encoding_of(path), self, choice)
        if next(table.records(), None) is None:
            raise DataError(f"{path} has no texts with times")
        return table


@dataclass(frozen=True, slots=True)
class CueTable(Table):
    """One file of cues."""

    table_format: CueFormat
    choice: ColumnChoice

    @property
    def format(self) -> TableFormat:
        """The format of the file."""
        return self.table_format

    @property
    def has_speakers(self) -> bool:
        """Whether a cue names its speaker."""
        return any(record.speaker for record in self.records())

    @property
    def has_times(self) -> bool:
        """Every cue has times."""
        return True

    @property
    def of_one_recording(self) -> bool:
        """The file lies beside its recording."""
        return True

    def describe(self) -> str:
        """Name the recording, the clips, and the files beside it that are not read."""
        clips = sum(record.problem is None for record in self.records())
        recording = recording_of(self.path)
        understood = f"its times and words make {clips:,} clips of {recording}"
        others = [name for name in word_files_of(self.path.with_name(recording)) if name != self.path.name]
        if others:
            understood += f"; not read, because the times here are as good or better: {', '.join(others)}"
        return self._described(self.table_format.kind, understood)

    def records(self) -> Iterator[TableRecord]:
        """Yield a row for each clip, in the order of time."""
        yield from _records(self, os.stat(self.path).st_mtime_ns)


@lru_cache(maxsize=4)  # several questions are asked about a table before its rows are read
def _records(table: CueTable, changed: int) -> list[TableRecord]:
    recording = recording_of(table.path)
    text = read_limited(table.path, table.encoding)
    cues = sorted((_checked(cue) for cue in table.table_format.cues(table.path, text, table.choice)), key=_order)
    records = []
    for cue in joined(cues) if table.table_format.joins else cues:
        times = PartTimes.unusable(cue.problem) if cue.problem else checked_times(cue.start, cue.end)
        times = PartTimes.unusable("the text has no times") if times.start is None else times
        records.append(make_record(cue.line, recording, cue.text, cue.speaker, times=times))
    return records


def _checked(cue: Cue) -> Cue:
    if len(cue.text) <= MAX_CUE_CHARACTERS:
        return cue
    return replace(cue, text=cue.text[:80], problem=cue.problem or too_long(len(cue.text)))


def best_of_each_recording(tables: Iterable[tuple[Path, TableFormat]]) -> list[Path]:
    """Return the tables to read: of several files of cues beside one recording, the one with the best times.

    :raises DataError: such files have different words, as subtitles in two languages have.
    """
    beside: dict[tuple[Path, str], list[tuple[Path, CueFormat]]] = {}
    for path, table_format in tables:
        if isinstance(table_format, CueFormat):
            beside.setdefault((path.parent, recording_of(path)), []).append((path, table_format))
    passed = {path for files in beside.values() if len(files) > 1 for path in _worse(files)}
    return [path for path, _ in tables if path not in passed]


def _worse(files: list[tuple[Path, CueFormat]]) -> list[Path]:
    """Return the files beside one recording that need not be read, because another has their words and better times."""
    words: dict[Path, Counter[str]] = {}
    for path, table_format in sorted(files, key=lambda file: (file[1].rank, file[0].name)):
        try:
            records = table_format.open(path, ColumnChoice()).records()
            words[path] = Counter(word for record in records for word in _WORD.findall(record.text.casefold()))
        except DataError:
            continue
    if not words:
        return [path for path, _ in files[1:]]
    best, *others = words
    for rival in others:
        common, most = (words[best] & words[rival]).total(), max(words[best].total(), words[rival].total())
        if common < MIN_SAME_WORDS * most:
            raise DataError(
                f"{best.with_name(recording_of(best))} has different words in {best.name} and {rival.name}; remove the "
                "wrong file, or name the right file as the source"
            )
    return [path for path, _ in files if path != best]


def read_limited(path: Path, encoding: str) -> str:
    """Return the text of a file. :raises DataError: the file is larger than 64 MiB, or cannot be read."""
    with open_text(path, encoding) as file:
        if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
            raise DataError(f"{path} has more than {MAX_FILE_BYTES >> 20} MiB, so it is no text beside one recording")
        return file.read()


def recording_of(path: Path) -> str:
    """Return the name of the recording that a file of cues lies beside.

    ``talk.srt``, ``talk.en.srt`` and ``talk.wav.srt`` belong to ``talk.wav``; a file with a name of its own belongs to
    the only recording of its folder. Without such a recording, the name is what the recording would be called.
    """
    namesake = namesake_of(path)
    if namesake is None:
        namesake = _only_recording(str(path.parent), os.stat(path.parent).st_mtime_ns)
    return namesake or _stems(path.name)[-1]


def namesake_of(path: Path) -> str | None:
    """Return the name of the recording in the same folder that a file has the name of."""
    for stem in _stems(path.name):
        for name in (stem, *(stem + suffix for suffix in _SUFFIXES)):
            if name.lower().endswith(_SUFFIXES) and os.path.isfile(path.with_name(name)):
                return name
    return None


def word_files_of(recording: Path) -> list[str]:
    """Return the names of the files beside a recording that have its name and may hold its words."""
    stem = recording.stem
    names = (name for name in os.listdir(recording.parent) if name.lower().endswith(_WORD_ENDINGS))
    return sorted(name for name in names if stem in {_without_suffix(part) for part in _stems(name)})


def _stems(name: str) -> list[str]:
    """Return what the recording of a file may be called: without the ending, and without a language."""
    stem = os.path.splitext(name)[0]
    return list(dict.fromkeys((stem, _LANGUAGE.sub("", stem))))


def _without_suffix(name: str) -> str:
    return os.path.splitext(name)[0] if name.lower().endswith(_SUFFIXES) else name


@lru_cache(maxsize=64)
def _only_recording(folder: str, changed: int) -> str | None:
    recordings = [name for name in os.listdir(folder) if name.lower().endswith(_SUFFIXES)]
    return recordings[0] if len(recordings) == 1 else None


def unit_of_times(path: Path, times: Sequence[float]) -> float | None:
    """Return the seconds of the unit in which the times of a recording fit it; None if none does."""
    try:
        seconds = audio.header_of(path.with_name(recording_of(path)))[1]
    except DataError:
        return None
    last = max(times, default=0.0)
    units = (unit for unit in _UNITS_SECONDS if last * unit <= seconds + MAX_OVERRUN_SECONDS)
    return next((unit for unit in units if last * unit >= MIN_SHARE_OF_RECORDING * seconds), None)


def _order(cue: Cue) -> tuple[float, int]:
    return (cue.start or 0.0, cue.line)
