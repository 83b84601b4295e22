"""Which column of a table is which: the names that the field uses, and what was asked for."""

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
class Columns:
    """Which column is which: names for tables with a header, else places counted from 1.

    :param width: cells of a row.
    """

    audio: str
    text: str
    speaker: str | None
    header: tuple[str, ...] | None
    width: int

    def describe(self) -> str:
        """Say aloud what was understood."""
        if not self.header:
            return f"no header: cell {self.audio} names the recording, cell {self.text} has the words"
        speaker = f", {self.speaker!r} is the speaker" if self.speaker else ""
        return f"{self.audio!r} names the recording, {self.text!r} has the words{speaker}"


def pick_columns(
    path: Path | str,
    line: int | None,
    header: tuple[str, ...],
    audio: str | None,
    text: str | None,
    speaker: str | None,
) -> Columns:
    """Tell which column is which.

    :param path: what the table is called; ``line``, of the header, where it has one.
    :param audio: the column that names recordings, where detection is not wanted; ``text``, ``speaker`` likewise.
    :raises DataError: a column that was asked for or is needed is not there, or stands twice.
    """
    for asked in (audio, text, speaker):
        if asked is not None and asked not in header:
            raise DataError(f"{path} has no column {asked!r}{nearest(asked, header)} (it has: {listed(header)})")
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        place = path if line is None else f"{path}:{line}"
        raise DataError(f"{place}: column {twice[:60]!r} stands twice; rename one")
    found_audio = audio or _first(header, AUDIO_COLUMNS)
    found_text = text or _first(header, TEXT_COLUMNS)
    if found_audio is None or found_text is None:
        lacking = "recordings (audio_column)" if found_audio is None else "words (text_column)"
        raise DataError(
            f"{path} has the columns {listed(header)}, none of them known for {lacking}; name it in the recipe"
        )
    return Columns(found_audio, found_text, speaker or _first(header, SPEAKER_COLUMNS), header, len(header))


def listed(names: Sequence[str]) -> str:
    """Join names for a message: those that are plain as they are, few enough for one line."""
    said = [name if name.isprintable() and len(name) <= 40 else repr(name[:40]) for name in names[:12]]
    return ", ".join(said) + (f", ... ({len(names)} in all)" if len(names) > 12 else "")


def _first(header: Sequence[str], known: Sequence[str]) -> str | None:
    lowered = {name.lower(): name for name in reversed(header)}
    return next((lowered[name] for name in known if name in lowered), None)
