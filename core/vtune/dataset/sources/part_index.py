"""Which parts of recordings the rows of a source name: the neighbours of a part, and what no row names."""

from __future__ import annotations

from collections.abc import Iterator

from vtune.audio.parts import NEIGHBOUR_SECONDS, RecordingPart
from vtune.dataset.sources.scratch import scratch

MIN_GAP_SECONDS = 5.0
"""Seconds of sound between two rows from which the sound is listed as a part that no row names; less is a pause."""

_SCHEMA = """
CREATE TABLE parts (recording BLOB, start REAL, "end" REAL, UNIQUE (recording, start, "end"));
CREATE INDEX by_end ON parts (recording, "end", start)
"""


class PartIndex:
    """The parts of all recordings, on disk when there are many."""

    def __init__(self) -> None:
        self._tables = scratch(self, _SCHEMA)

    def clear(self) -> None:
        """Forget all parts."""
        self._tables.execute("DELETE FROM parts")

    def add(self, recording: str, start: float, end: float | None) -> None:
        """Add a part; without an end, the part ends where the next part begins, or with the recording."""
        self._tables.execute("INSERT OR IGNORE INTO parts VALUES (?, ?, ?)", (_key(recording), start, end))

    def complete(self) -> None:
        """Find the ends of parts that were added without one. Call it when all parts are added."""
        self._tables.execute(
            'UPDATE OR IGNORE parts SET "end" = (SELECT min(next.start) FROM parts AS next '
            'WHERE next.recording = parts.recording AND next.start > parts.start) WHERE "end" IS NULL'
        )
        # Of equal rows without an end, one has it now.
        self._tables.execute(
            'DELETE FROM parts WHERE "end" IS NULL AND EXISTS (SELECT 1 FROM parts AS twin '
            'WHERE twin.recording = parts.recording AND twin.start = parts.start AND twin."end" IS NOT NULL)'
        )

    def part(self, recording: str, start: float, end: float | None) -> RecordingPart:
        """Return a part that was added, with its end and the edges of its neighbours."""
        key = _key(recording)
        if end is None:
            end = self._one("SELECT min(start) FROM parts WHERE recording = ? AND start > ?", key, start)
        near = (start - NEIGHBOUR_SECONDS, start + NEIGHBOUR_SECONDS)
        after = self._one(
            'SELECT "end" FROM parts WHERE recording = ? AND "end" BETWEEN ? AND ? AND start < ? '
            'ORDER BY "end" DESC LIMIT 1',
            *(key, *near, start),
        )
        if end is None:
            return RecordingPart(start, end, after)
        near = (max(start, end - NEIGHBOUR_SECONDS), end + NEIGHBOUR_SECONDS)
        before = self._one("SELECT min(start) FROM parts WHERE recording = ? AND start > ? AND start <= ?", key, *near)
        return RecordingPart(start, end, after, before)

    def recordings(self) -> Iterator[str]:
        """Yield each recording that has parts."""
        for (key,) in self._tables.execute("SELECT DISTINCT recording FROM parts ORDER BY recording"):
            yield _name(key)

    def gaps(self, recording: str, seconds: float) -> Iterator[tuple[float, float]]:
        """Yield start and end of each stretch of 5 s or more of a recording that no part names.

        :param seconds: length of the recording.
        """
        covered = 0.0
        rows = self._tables.execute(
            'SELECT start, "end" FROM parts WHERE recording = ? ORDER BY start', (_key(recording),)
        )
        for start, end in rows:
            if start - covered >= MIN_GAP_SECONDS:
                yield covered, start
            covered = max(covered, seconds if end is None else end)
        if seconds - covered >= MIN_GAP_SECONDS:
            yield covered, seconds

    def _one(self, query: str, *values: object) -> float | None:
        row = self._tables.execute(query, values).fetchone()
        return None if row is None else row[0]


def _key(recording: str) -> bytes:
    # File names need not be text: other bytes come from the system as lone surrogates.
    return recording.encode("utf-8", "surrogatepass")


def _name(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")
