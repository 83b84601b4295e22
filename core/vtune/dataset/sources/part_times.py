"""Tell from the cells of a row which part of a recording the row is: its start and its end in seconds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

START_COLUMNS = (
    "start", "start_time", "starttime", "start_sec", "start_secs", "start_seconds", "start_s",
    "begin", "begin_time", "offset", "audio_offset", "segment_start", "tmin", "xmin",
)  # fmt: skip
END_COLUMNS = (
    "end", "end_time", "endtime", "end_sec", "end_secs", "end_seconds", "end_s",
    "stop", "stop_time", "segment_end", "tmax", "xmax",
)  # fmt: skip
DURATION_COLUMNS = ("duration", "dur", "duration_sec", "duration_secs", "duration_seconds", "duration_s")
START_MS_COLUMNS = ("start_ms", "start_time_ms", "begin_ms", "offset_ms", "start_milliseconds")
END_MS_COLUMNS = ("end_ms", "end_time_ms", "stop_ms", "end_milliseconds")
DURATION_MS_COLUMNS = ("duration_ms", "dur_ms", "duration_milliseconds")

MAX_SECONDS = 1e7
"""Seconds that no recording has: about four months."""

_ROUNDED_SECONDS = 0.05  # a start this little before 0 was rounded
_NO_END = (0.0, -1.0)  # what corpora write for "to the end"
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{1,2}(?:[.,]\d+)?)")


@dataclass(frozen=True, slots=True)
class PartTimes:
    """The start and the end of a row in its recording, in seconds.

    :param start: None if the row is a whole recording.
    :param end: None for the start of the next row of the recording, or the recording's end.
    :param problem: why the times cannot be used; None if they can. Such a row is a part of 0 s, so that the seconds of
        its recording are not counted for it.
    """

    start: float | None = None
    end: float | None = None
    problem: str | None = None

    @classmethod
    def unusable(cls, problem: str) -> PartTimes:
        """Return the times of a row whose times cannot be used."""
        return cls(0.0, 0.0, problem)


WHOLE_RECORDING = PartTimes()
"""The times of a row that is a whole recording."""


@dataclass(frozen=True, slots=True)
class TimeColumns:
    """The columns that hold times; None where a table has no such column."""

    start: str | None = None
    end: str | None = None
    duration: str | None = None

    @classmethod
    def pick(cls, header: Sequence[str]) -> TimeColumns:
        """Find the columns by their names. A duration alone is information: without a start there are no parts."""
        lowered = {name.strip().lower(): name for name in reversed(header)}

        def first(*usual: str) -> str | None:
            return next((lowered[name] for name in usual if name in lowered), None)

        start = first(*START_COLUMNS, *START_MS_COLUMNS)
        if start is None:
            return cls()
        return cls(start, first(*END_COLUMNS, *END_MS_COLUMNS), first(*DURATION_COLUMNS, *DURATION_MS_COLUMNS))

    def __bool__(self) -> bool:
        """Whether rows may be parts of recordings."""
        return self.start is not None

    def describe(self) -> str:
        """Return a clause that says which columns hold the times; empty without such columns."""
        last = self.end or self.duration
        if self.start is None:
            return ""
        return f"{self.start!r} and {last!r} are its times" if last else f"{self.start!r} is where it starts"

    @property
    def is_in_milliseconds(self) -> bool:
        """Whether the names of the columns say so."""
        return any(name is not None and _is_milliseconds(name) for name in (self.start, self.end, self.duration))

    def read(self, cells: Mapping[str, Any]) -> PartTimes:
        """Return the times that the cells of a row hold, by the names of their columns.

        Example: ``{"offset": "12.5", "duration": "2.75"}`` becomes ``PartTimes(12.5, 15.25)``.
        """
        values: dict[str, float | None] = {}
        for name in (self.start, self.end, self.duration):
            if name is not None:
                try:
                    values[name] = parse_seconds(cells.get(name), milliseconds=_is_milliseconds(name))
                except ValueError as error:
                    return PartTimes.unusable(f"column {name!r}: {error}")
        start, end = (None if name is None else values[name] for name in (self.start, self.end))
        duration = None if self.duration is None else values[self.duration]
        if end is None and start is not None and duration is not None and duration > 0:
            end = start + duration
        return checked_times(start, end)


def checked_times(start: float | None, end: float | None) -> PartTimes:
    """Return the times of a row, or the problem; an end of 0 or -1 is no end, and a start of -1 is no start."""
    start, end = None if start == -1 else start, None if end in _NO_END else end
    if start is None and end is None:
        return WHOLE_RECORDING
    if start is None:
        return PartTimes.unusable(f"the row ends at {end:g} s of its recording, but has no start")
    if not -_ROUNDED_SECONDS <= start <= MAX_SECONDS:
        return PartTimes.unusable(f"the row starts at {start:g} s, which is no time of a recording")
    start = max(0.0, start)
    if end is not None and (not end <= MAX_SECONDS or round(end, 3) <= round(start, 3)):
        return PartTimes.unusable(f"the row ends at {end:g} s, but starts at {start:g} s; correct the times")
    return PartTimes(start, end)


def parse_seconds(value: Any, *, milliseconds: bool = False) -> float | None:
    """Return a time in seconds; None for an empty value.

    Example: ``12.5``, ``"12,5"``, ``"00:00:12.500"`` and ``"0:12,500"`` are 12.5, and so is ``12500`` in milliseconds.

    :raises ValueError: the value is no time; says so for users.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    text = str(value).strip()[:40]
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        hours, minutes, seconds = (float((group or "0").replace(",", ".")) for group in clock.groups())
        return 3600 * hours + 60 * minutes + seconds
    try:
        number = math.nan if isinstance(value, bool) else float(text.removesuffix("s").replace(",", "."))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is no time; write seconds, like 12.5, or 00:00:12.500")
    return number / 1000 if milliseconds else number


def _is_milliseconds(column: str) -> bool:
    return column.strip().lower() in {*START_MS_COLUMNS, *END_MS_COLUMNS, *DURATION_MS_COLUMNS}
