"""The columns of a table: their usual names, those that a recipe names, and which column is which."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vtune.dataset.sources.part_times import TimeColumns

AUDIO_COLUMNS = (
    "filename",
    "file_name",
    "audio_path",
    "audio_filepath",
    "audio",
    "audio_file",
    "audio_filename",
    "wav",
    "wav_path",
    "wav_file",
    "wav_filename",
    "clip_path",
    "path",
    "filepath",
    "file_path",
    "file",
    "utterance_id",
    "utt_id",
    "id",
)
TEXT_COLUMNS = (
    "text",
    "transcription",
    "transcript",
    "sentence",
    "normalized_text",
    "normalised_text",
    "text_normalized",
    "normalized",
    "utterance",
)
SPEAKER_COLUMNS = ("speaker", "speaker_id", "speaker_name", "speakerid", "spk", "spk_id", "voice", "client_id")
FLAGS_COLUMN = "red_flags"
"""Reasons to doubt the words of a row, as ``vtune transcribe`` writes them; empty where there are none."""

WRITTEN_OUT_COLUMN = "written_out"
"""Column with the numerals that the words of a row have in letters, such as ``20th``."""


NO_TIMES = TimeColumns()
"""The times of tables whose rows are whole recordings."""

SAMPLE_ROWS, SAMPLE_CELL_CHARACTERS = 1_000, 300
"""Rows at the beginning of a table that are looked at before it is read, and characters of each cell."""


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """The columns that a recipe names, by their headings or by numbers from 1; None where vtune finds the column.

    :param voice: the voice of all rows, if the recipe says so; then no column needs to name speakers.
    """

    audio: str | None = None
    text: str | None = None
    speaker: str | None = None
    voice: str | None = None

    @property
    def names(self) -> list[str]:
        """The columns that are named."""
        return [name for name in (self.audio, self.text, self.speaker) if name is not None]

    def headings(self, cells: Sequence[str]) -> set[str]:
        """Return which cells are named; a number names a position, not a heading."""
        return {name for name in self.names if name in cells and not name.isdecimal()}


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column is which: headings for tables with a header, else numbers counted from 1.

    :param width: cells of a row.
    :param notes: why the columns were chosen, and what else the table holds, as clauses.
    :param doubts: why the choice may be wrong, as clauses.
    """

    audio: str
    text: str
    speaker: str | None
    header: tuple[str, ...] | None
    width: int
    times: TimeColumns = NO_TIMES
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns: headings, or numbers counted from 1."""
        return self.header or numbered(self.width)

    def describe(self) -> str:
        """Return a clause that says which column is which."""
        if self.header:
            speaker = f", {self.speaker!r} is the speaker" if self.speaker else ""
            clauses = [f"{self.audio!r} names the recording, {self.text!r} has the words{speaker}"]
        else:
            speaker = f", cell {self.speaker} names the speaker" if self.speaker else ""
            clauses = [f"no header: cell {self.audio} names the recording, cell {self.text} has the words{speaker}"]
        times = [self.times.describe()] if self.times else []
        doubts = [f"CHECK THIS: {doubt}" for doubt in self.doubts]
        return "; ".join([*clauses, *times, *self.notes, *doubts])


def is_usual(heading: str) -> bool:
    """Tell whether a cell is a usual heading of the recordings or of the words."""
    return plain_heading(heading) in {*AUDIO_COLUMNS, *TEXT_COLUMNS}


def names_both(cells: Sequence[str], choice: ColumnChoice) -> bool:
    """Tell whether cells are headings beyond doubt: recording and words both have a usual or a chosen name."""
    plain = {plain_heading(cell) for cell in cells}
    has_audio = bool(plain & set(AUDIO_COLUMNS)) or choice.audio in choice.headings(cells)
    return has_audio and (bool(plain & set(TEXT_COLUMNS)) or choice.text in choice.headings(cells))


def numbered(width: int) -> tuple[str, ...]:
    """Return the names of the columns of a table without a header."""
    return tuple(str(number) for number in range(1, width + 1))


def listed(names: Sequence[str]) -> str:
    """Join names for a message: printable names as they are, and few enough for one line."""
    shown = [name if name.isprintable() and len(name) <= 40 else repr(name[:40]) for name in names[:12]]
    return ", ".join(shown) + (f", ... ({len(names)} in all)" if len(names) > 12 else "")


def plain_heading(heading: str) -> str:
    """Return a heading without case, and with underscores for blanks and dashes."""
    return re.sub(r"[\s-]+", "_", heading.strip().lower())
