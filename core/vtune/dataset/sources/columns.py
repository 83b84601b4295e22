"""Which column of a table is which: by the names that the field uses, or as the recipe says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vtune.errors import DataError, nearest

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
FLAGS_COLUMN = "red_flags"
"""Reasons to doubt the words of a row, as ``vtune transcribe`` writes them; empty where there are none."""


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """The columns that a recipe names; None where vtune finds the column itself."""

    audio: str | None = None
    text: str | None = None
    speaker: str | None = None

    @property
    def names(self) -> list[str]:
        """The columns that are named."""
        return [name for name in (self.audio, self.text, self.speaker) if name is not None]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column is which: names for tables with a header, else numbers counted from 1.

    :param width: cells of a row.
    """

    audio: str
    text: str
    speaker: str | None
    header: tuple[str, ...] | None
    width: int

    def describe(self) -> str:
        """Return a clause that says which column is which."""
        if not self.header:
            return f"no header: cell {self.audio} names the recording, cell {self.text} has the words"
        speaker = f", {self.speaker!r} is the speaker" if self.speaker else ""
        return f"{self.audio!r} names the recording, {self.text!r} has the words{speaker}"


def pick_columns(path: Path | str, line: int | None, header: tuple[str, ...], choice: ColumnChoice) -> Columns:
    """Tell which column is which.

    :param path: how messages call the table.
    :param line: of the header; None for a table without lines.
    :raises DataError: a column that the recipe names or that is needed is missing, or stands twice.
    """
    for name in choice.names:
        if name not in header:
            raise DataError(f"{path} has no column {name!r}{nearest(name, header)} (it has: {listed(header)})")
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        where = path if line is None else f"{path}:{line}"
        raise DataError(f"{where}: column {twice[:60]!r} stands twice; rename one of the two")
    audio = choice.audio or _first(header, AUDIO_COLUMNS)
    text = choice.text or _first(header, TEXT_COLUMNS)
    if audio is None or text is None:
        missing, key = ("names the recordings", "audio_column") if audio is None else ("has the words", "text_column")
        raise DataError(
            f"{path} has the columns {listed(header)}, and none has a usual name for the one that {missing}; "
            f"say which it is with '{key}:' in the recipe"
        )
    return Columns(audio, text, choice.speaker or _first(header, SPEAKER_COLUMNS), header, len(header))


def listed(names: Sequence[str]) -> str:
    """Join names for a message: printable names as they are, and few enough for one line."""
    shown = [name if name.isprintable() and len(name) <= 40 else repr(name[:40]) for name in names[:12]]
    return ", ".join(shown) + (f", ... ({len(names)} in all)" if len(names) > 12 else "")


def _first(header: Sequence[str], usual: Sequence[str]) -> str | None:
    lowered = {name.lower(): name for name in reversed(header)}
    return next((lowered[name] for name in usual if name in lowered), None)
