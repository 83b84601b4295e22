"""Merge new transcripts into an existing table, without changing the rows that the user wrote.

The journal keeps what vtune wrote last (``written``). A row that differs from it belongs to the user and stays, and so
does a row that vtune never wrote. A row that vtune wrote and that is missing now was deleted by the user, and stays
deleted. A recording whose content changed since counts as new: its words are written again.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from vtune.dataset.sources.recordings import Recordings
from vtune.ingest.transcribe.journal_entries import JournalEntry
from vtune.ingest.transcribe.red_flags import flag_kind
from vtune.ingest.transcribe.table_names import identity
from vtune.ingest.transcribe.transcript_table import new_table, read_table
from vtune.runtime.paths import new_file

logger = logging.getLogger(__name__)

FLAG_SEPARATOR = "; "
"""Text between the red flags of a row."""

WORD_SEPARATOR = " "
"""Text between the numerals of a row that were written out."""


class TranscriptRows:
    """The rows of a table by the recordings that they name.

    After ``merge``, ``own`` counts the rows that belong to the user, and ``deleted`` the rows that the user deleted.

    :param paths: path of each recording of the folder, by its key in the journal.
    :raises DataError: the table exists but cannot be read.
    """

    def __init__(self, path: Path, recordings: Recordings, paths: Mapping[str, str]) -> None:
        self._keys = list(paths)
        table = read_table(path)
        self._exists = table is not None
        self._table = table or new_table(path)
        row_of_identity: dict[tuple[str, str], int] = {}
        for number, cells in enumerate(self._table.rows):
            recording, _ = recordings.find(cells[self._table.audio].strip(), path.parent)
            if recording:
                row_of_identity.setdefault(identity(recording), number)
        rows = ((key, row_of_identity.get(identity(path))) for key, path in paths.items())
        self._row_of = {key: row for key, row in rows if row is not None}
        self.own = self.deleted = 0

    def __len__(self) -> int:
        return len(self._table.rows)

    def is_foreign(self, key: str, entry: JournalEntry | None) -> bool:
        """Tell whether a recording has a row that vtune did not write."""
        return key in self._row_of and (entry is None or "written" not in entry)

    def is_up_to_date(self, key: str, entry: JournalEntry | None, digest: str, settings: str) -> bool:
        """Tell whether a recording need not be recognised: it was, with these settings, or its row is the user's."""
        if entry is None or entry["digest"] != digest:
            return False
        if entry.get("key") == settings and entry["status"] != "unreadable":
            return True
        return self._is_users(key, entry)

    def merge(self, entries: Mapping[str, JournalEntry]) -> None:
        """Update the table and write it; note in the entries what was written."""
        removed_rows = []
        replaced = 0
        for key in self._keys:
            entry = entries.get(key)
            row = self._row_of.get(key)
            if entry is None or self._is_users(key, entry) or self.is_foreign(key, entry):
                self.own += row is not None
                self.deleted += row is None and entry is not None
                continue
            if entry["status"] == "transcribed":
                text, flags = entry["text"], FLAG_SEPARATOR.join(entry["flags"])
                replaced += self._replaces_words(key, row, entry, text)
                self._table.put(row, entry["filename"], text, flags, WORD_SEPARATOR.join(entry.get("written_out", ())))
                entry["written"] = [text, flags]
            elif entry["status"] == "empty" and row is not None:
                replaced += self._replaces_words(key, row, entry, "")
                removed_rows.append(row)
            if entry["status"] != "unreadable":
                entry.pop("changed", None)
        if replaced:
            self._keep_former(replaced)
        for row in sorted(removed_rows, reverse=True):
            del self._table.rows[row]
        self._table.write()

    def flagged(self) -> tuple[int, Counter[str]]:
        """Count the rows with red flags, and the flags by kind."""
        cells = [self._table.cells(row)[1].strip() for row in range(len(self))]
        kinds = (set(map(flag_kind, flags.split(FLAG_SEPARATOR))) for flags in cells if flags)
        return sum(map(bool, cells)), Counter(kind for row in kinds for kind in row)

    def _is_users(self, key: str, entry: JournalEntry) -> bool:
        written = entry.get("written")
        if not self._exists or written is None or entry.get("changed"):
            return False
        return key not in self._row_of or list(self._table.cells(self._row_of[key])) != written

    def _replaces_words(self, key: str, row: int | None, entry: JournalEntry, text: str) -> bool:
        """Tell (and log) whether the user's words are replaced, because the recording changed since."""
        if row is None or not entry.get("changed") or list(self._table.cells(row)) == entry["written"]:
            return False
        logger.info("%s has changed; the words of its row change from %r to %r", key, self._table.cells(row)[0], text)
        return True

    def _keep_former(self, replaced: int) -> None:
        """Save a copy of the user's table under a hidden name, because readers of tables would read any other name."""
        path = self._table.path
        copy = path.with_name(f".{path.stem}-{time.strftime('%Y-%m-%dT%H%M%S')}{path.suffix}")
        with new_file(copy) as partial:
            shutil.copyfile(path, partial)
        logger.warning(
            "%s: %d row(s) that you changed are written again, because their recordings changed; former table: %s",
            path, replaced, copy,
        )  # fmt: skip
