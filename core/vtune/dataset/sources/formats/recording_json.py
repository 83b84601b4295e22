"""One JSON object beside each recording, as Emilia has: ``a.json`` beside ``a.mp3``, with ``text`` and ``speaker``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtune.dataset.sources.columns import SPEAKER_COLUMNS, TEXT_COLUMNS, ColumnChoice
from vtune.dataset.sources.cues import namesake_of, read_limited
from vtune.dataset.sources.formats.segments_json import SEGMENT_KEYS
from vtune.dataset.sources.plain_text import encoding_of
from vtune.dataset.sources.table import Certainty, FormatEvidence, Table, TableFormat, TableRecord, make_record
from vtune.errors import DataError

MAX_BYTES = 1 << 20
"""Bytes of the largest file: what describes one clip is short."""


class RecordingJsonFormat(TableFormat):
    """One object for one recording."""

    name = "JSON beside each recording"
    endings = (".json",)
    max_depth = 3
    allows_several = lies_beside = True

    def has_name(self, name: str, *, is_given: bool) -> bool:
        """Take every JSON file: the recording beside it and its content decide."""
        return name.lower().endswith(".json")

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Look for a recording of the same name, and for a text in the object."""
        if namesake_of(path) is None or os.path.getsize(path) > MAX_BYTES:
            return None
        values = _values(path, encoding_of(path))
        if values is None or _first(values, TEXT_COLUMNS) is None or any(key in values for key in SEGMENT_KEYS):
            return None
        return FormatEvidence(Certainty.BY_CONTENT, "it is one object with the words of the recording beside it")

    def open(self, path: Path, choice: ColumnChoice) -> RecordingJsonTable:
        """Read the object."""
        encoding = encoding_of(path)
        values = _values(path, encoding)
        if values is None:
            raise DataError(f"{path} is not one JSON object with words")
        text = _first(values, (choice.text,) if choice.text else TEXT_COLUMNS)
        if text is None:
            raise DataError(f"{path} has no {choice.text or 'text'!r}")
        speaker = _first(values, (choice.speaker,) if choice.speaker else SPEAKER_COLUMNS)
        return RecordingJsonTable(path, encoding, text, "" if speaker is None else speaker)


@dataclass(frozen=True, slots=True)
class RecordingJsonTable(Table):
    """The object of one recording."""

    text: str
    speaker: str

    @property
    def format(self) -> TableFormat:
        """JSON beside each recording."""
        return FORMAT

    @property
    def has_speakers(self) -> bool:
        """Whether the object names the speaker."""
        return bool(self.speaker)

    @property
    def of_one_recording(self) -> bool:
        """The file lies beside its recording."""
        return True

    def describe(self) -> str:
        """Say that the object has the words."""
        return self._described("JSON", f"it has the words of {namesake_of(self.path)}")

    def records(self) -> Iterator[TableRecord]:
        """Yield the one row."""
        yield make_record(1, namesake_of(self.path) or self.path.stem, self.text, self.speaker)


def _values(path: Path, encoding: str) -> dict[str, Any] | None:
    try:
        values = json.loads(read_limited(path, encoding))
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _first(values: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((values[key] for key in keys if isinstance(values.get(key), str)), None)


FORMAT = RecordingJsonFormat()
