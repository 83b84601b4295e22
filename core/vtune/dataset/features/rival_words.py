"""Find rows that repeat or contradict an earlier row: the same recording with the same words, or with other words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from hashlib import sha256

from vtune.dataset.features.entry import ManifestEntry
from vtune.dataset.sources.plain_text import spoken_form
from vtune.dataset.sources.scratch import scratch

SHOWN_WORDS_CHARACTERS = 60


class SettledEntries:
    """Takes the entries of all sources, and gives them back after it is known which recordings have several texts.

    Of rows with the same recording, voice and words the first is used. Of rows with the same recording and voice but
    different words none is used, because nothing tells which words are right. The entries wait on disk.
    """

    def __init__(self) -> None:
        self._tables = scratch(
            self,
            "CREATE TABLE entries (id INTEGER PRIMARY KEY, entry TEXT);"
            "CREATE TABLE first (recording BLOB PRIMARY KEY, id INTEGER, words BLOB) WITHOUT ROWID;"
            "CREATE TABLE rivals (id INTEGER PRIMARY KEY, rival INTEGER)",
        )
        self._count = 0

    def add(self, entry: ManifestEntry) -> None:
        """Take the next entry."""
        if entry.reason is None:
            entry = self._compared(entry)
        self._tables.execute("INSERT INTO entries VALUES (?, ?)", (self._count, json.dumps(asdict(entry))))
        self._count += 1

    def __iter__(self) -> Iterator[ManifestEntry]:
        """Yield the entries in their order."""
        rows = self._tables.execute(
            "SELECT entries.entry, other.entry FROM entries LEFT JOIN rivals USING (id) "
            "LEFT JOIN entries AS other ON other.id = rivals.rival ORDER BY entries.id"
        )
        for text, rival in rows:
            entry = ManifestEntry(**json.loads(text))
            yield entry if rival is None else _contradicted(entry, ManifestEntry(**json.loads(rival)))

    def _compared(self, entry: ManifestEntry) -> ManifestEntry:
        """Return an entry with a reason, if an earlier entry has its recording."""
        recording = sha256(f"{entry.digest}\n{entry.voice}".encode()).digest()[:16]
        words = sha256(spoken_form(entry.text).encode()).digest()[:16]
        values = (recording, self._count, words)
        if self._tables.execute("INSERT OR IGNORE INTO first VALUES (?, ?, ?)", values).rowcount:
            return entry
        number, first_words, text = self._tables.execute(
            "SELECT first.id, words, entry FROM first JOIN entries USING (id) WHERE recording = ?", (recording,)
        ).fetchone()
        first = ManifestEntry(**json.loads(text))
        if words == first_words:
            return _unused(entry, f"the same recording and words as {first.location}")
        self._tables.execute("INSERT OR IGNORE INTO rivals VALUES (?, ?)", (number, self._count))
        return _contradicted(entry, first)


def _contradicted(entry: ManifestEntry, other: ManifestEntry) -> ManifestEntry:
    shown = (
        other.text if len(other.text) <= SHOWN_WORDS_CHARACTERS else f"{other.text[: SHOWN_WORDS_CHARACTERS - 3]}..."
    )
    reason = f"the recording has other words in {other.location}: {shown!r}; remove the row whose words are wrong"
    return _unused(entry, reason)


def _unused(entry: ManifestEntry, reason: str) -> ManifestEntry:
    return replace(entry, reason=reason, split="train")
