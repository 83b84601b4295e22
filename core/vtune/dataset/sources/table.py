"""What a table of clips is, and what a table format is; the formats are in ``vtune.dataset.sources.formats``."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.layout import TableLayout
from vtune.dataset.sources.part_times import WHOLE_RECORDING, PartTimes
from vtune.dataset.sources.plain_text import unfit_words
from vtune.errors import DataError

TABLE_STEMS = frozenset({"metadata", "transcripts", "transcript", "manifest", "train"})
"""Names of tables whose ending alone says little: any other ``.txt`` or ``.json`` in a folder may hold notes."""


@dataclass(frozen=True, slots=True)
class TableRecord:
    """One row of a table.

    :param line: the line that the row begins at, counted from 1.
    :param audio: the name of the recording as the table writes it.
    :param problem: why the row cannot be used; None if it can.
    :param red_flags: why the words are doubtful, where the table says so.
    :param start: second of the recording at which the row begins; None if the row is the whole recording.
    :param end: second at which the row ends; None for the start of the recording's next row, or the recording's end.
    """

    line: int
    audio: str
    text: str
    speaker: str
    problem: str | None = None
    red_flags: str = ""
    start: float | None = None
    end: float | None = None


class Certainty(IntEnum):
    """How sure a format is that a file is one of its tables; the surest format reads the file."""

    BY_ENDING = 1
    BY_NAME = 2
    BY_CONTENT = 3


@dataclass(frozen=True, slots=True)
class FormatEvidence:
    """Why a format takes a file for one of its tables.

    :param reason: a clause for users: "its name ends with .csv".
    """

    certainty: Certainty
    reason: str


@dataclass(frozen=True, slots=True)
class Table(ABC):
    """One table file, understood but not yet read."""

    path: Path
    encoding: str

    @property
    @abstractmethod
    def format(self) -> TableFormat:
        """The format that opened the table."""

    @property
    def has_speakers(self) -> bool:
        """Whether rows may name a speaker."""
        return False

    @property
    def has_times(self) -> bool:
        """Whether rows may be parts of recordings."""
        return False

    @property
    def of_one_recording(self) -> bool:
        """Whether the file lies beside one recording; then other recordings may have words in files of their own."""
        return False

    @property
    def names_are_guessed(self) -> bool:
        """Whether nothing in the file says which cell names the recording.

        If no row of such a table names a recording, the table was misunderstood.
        """
        return False

    def speaker_in(self, name: str) -> str:
        """Return the speaker that the name of a recording says in this format; an empty text where names say none."""
        return ""

    @abstractmethod
    def describe(self) -> str:
        """Return one line about what was understood."""

    @abstractmethod
    def records(self) -> Iterator[TableRecord]:
        """Yield every row with its line number; a row that cannot be used carries its problem."""

    def layout(self, text: str, records: list[TableRecord]) -> TableLayout:
        """Find the rows in the text of the file, for editing.

        :param records: what ``records()`` yielded.
        :raises DataError: tables of this format cannot be edited.
        """
        raise DataError(f"{self.path}: vtune cannot edit tables of the format {self.format.name}; edit it by hand")

    def _described(self, kind: str, understood: str) -> str:
        note = "" if self.encoding.startswith("utf-8") else f", read as {self.encoding}"
        return f"{self.path.name}: {kind}{note}; {understood}"


class TableFormat(ABC):
    """A way in which people write down which recording has which words; its module declares an instance as ``FORMAT``.

    A format of several files answers for the main file, and looks for the other files beside it.
    """

    name: ClassVar[str]
    """What users read."""
    endings: ClassVar[tuple[str, ...]]
    """Endings of its files in lower case, as errors list them."""
    sure_endings: ClassVar[tuple[str, ...]] = ()
    """Endings that make any file of a folder one of its tables; else the stem has to be in ``TABLE_STEMS``."""
    max_depth: ClassVar[int] = 1
    """Folders below the source in which its tables are looked for; 1 is a folder for each speaker."""
    allows_several: ClassVar[bool] = False
    """Whether several of its tables may lie in one folder, because each is of other recordings."""
    lies_beside: ClassVar[bool] = False
    """Whether each file has the name of one recording; such files are read from all folders, and from texts beside
    recordings."""

    def has_name(self, name: str, *, is_given: bool) -> bool:
        """Tell from a file name alone whether the file may be a table of this format.

        :param is_given: the user named the file; else it was found in a folder, where other files lie too.
        """
        stem, ending = os.path.splitext(name.lower())
        return ending in self.endings and (is_given or ending in self.sure_endings or stem in TABLE_STEMS)

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Look at a regular file that ``has_name`` and say why it is a table of this format; None if it is not.

        :raises DataError: the file cannot be read.
        """
        return FormatEvidence(Certainty.BY_ENDING, f"its name ends with {path.suffix.lower()}")

    @staticmethod
    def refuse_columns(path: Path, choice: ColumnChoice) -> None:
        """Refuse columns that the recipe names, for formats whose files have none. :raises DataError: names one."""
        if choice.names:
            raise DataError(f"{path} has no columns, so none can be named {choice.names[0]!r}")

    @abstractmethod
    def open(self, path: Path, choice: ColumnChoice) -> Table:
        """Look at the beginning of a table and tell its form.

        :param choice: the columns that the recipe names.
        :raises DataError: the file cannot be read, is empty, or lacks a needed column.
        """


def make_record(
    line: int,
    audio: Any,
    text: Any,
    speaker: Any = None,
    problem: str | None = None,
    flags: Any = None,
    times: PartTimes = WHOLE_RECORDING,
) -> TableRecord:
    """Return the row that holds some values; of values that no row can hold, a row with a problem."""
    name = audio.strip() if isinstance(audio, str) else ""
    words = " ".join(text.split()) if isinstance(text, str) else ""
    if problem is None and not name:
        problem = "no recording is named"
    elif problem is None and "\0" in name:
        problem = "the name of the recording holds a NUL character"
    return TableRecord(
        line,
        name.replace("\0", ""),
        words,
        str(speaker).strip() if speaker is not None else "",
        problem or times.problem or unfit_words(words),
        " ".join(flags.split()) if isinstance(flags, str) else "",
        times.start,
        times.end,
    )
