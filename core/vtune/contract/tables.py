"""What a table format of an extension is: a name, endings, and a function that reads the rows of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table: which recording has which words.

    :param audio: the recording: a path from the folder of the table, or a name with or without its ending.
    :param text: the words.
    :param speaker: name of the speaker; empty if the table does not say it.
    :param start: second of the recording at which the row begins; None if the row is the whole recording.
    :param end: second at which the row ends; None for the start of the recording's next row, or the recording's end.
    :param line: line of the file, counted from 1, for messages; default: the number of the row.
    :param problem: why the row cannot be used, as a clause for users; the row is then left out and listed.
    """

    audio: str
    text: str
    speaker: str = ""
    start: float | None = None
    end: float | None = None
    line: int | None = None
    problem: str | None = None


@checked_dataclass(frozen=True, slots=True, config=ConfigDict(strict=True))
class TableReader:
    """A format of tables that say which recording has which words; such tables are read, never edited.

    :param name: what users read, such as ``Praat collection``.
    :param endings: endings of the files in small letters, such as ``(".collection",)``.
    :param read: called with the path; returns or yields the rows in the order of the file. Raises
        ``vtune.DataError`` with a sentence about a file that cannot be read.
    :param is_table: called with the path of a file that has one of the endings, before ``read``; tells whether the
        file is of this format. Without it the ending decides, so it is needed where other files have the ending too.
    """

    name: Annotated[str, Field(min_length=1, max_length=60)]
    endings: Annotated[tuple[Annotated[str, Field(pattern=r"^\.[a-z0-9.]+$")], ...], Field(min_length=1)]
    read: Callable[[Path], Iterable[TableRow]]
    is_table: Callable[[Path], bool] | None = None
