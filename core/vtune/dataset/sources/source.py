"""What a source of clips is; the usual source is in ``vtune.dataset.sources.folder_source``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from vtune.types import Waveform


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
    """Where clips come from."""

    @property
    def description(self) -> list[str]:
        """Lines about what was understood: one for each table, and one for files that are not read."""
        ...

    @property
    def has_speakers(self) -> bool:
        """Whether rows may name speakers."""
        ...

    @property
    def speaker_question(self) -> str | None:
        """What the user has to say before clips become voices, because folders may be speakers; else None."""
        ...

    def rows(self) -> Iterator[Row]:
        """Yield every clip in the source's own order; the method may be called again."""
        ...

    def seconds(self, name: str) -> float:
        """Return the seconds of a recording, from its header. :raises DataError: the recording cannot be read."""
        ...

    def rate(self, name: str) -> int:
        """Return the sample rate of a recording in Hz, from its header.

        :raises DataError: the recording cannot be read.
        """
        ...

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a recording's bytes, in hexadecimal."""
        ...

    def load(self, name: str, sample_rate: int) -> Waveform:
        """Read a recording as mono at a sample rate in Hz. :raises DataError: the recording cannot be read."""
        ...
