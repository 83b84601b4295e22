"""The table that stands and what was heard, made one: whose a row is, and what may be written into it.

What vtune wrote last is kept in the journal (``written``). A row that says something else is the user's and stays; so
is one that vtune never wrote. One that was written and is gone was deleted, and stays so. A recording that changed
since is a new one: it gets its words anew.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from vtune.dataset.sources.recordings import Recordings
from vtune.ingest.transcribe.entries import Entry
from vtune.ingest.transcribe.flags import kind_of
from vtune.ingest.transcribe.names import identity
from vtune.ingest.transcribe.table import new_sheet, read_sheet
from vtune.runtime.paths import new_file

logger = logging.getLogger(__name__)

SEPARATOR = "; "
"""Between the red flags of a row."""


class Rows:
    """The rows of the table by the recordings that they name.

    ``own`` is how many of them are the user's, ``deleted`` how many the user took out.

    :param paths: of the recordings of the folder, by their keys in the journal.
    :raises DataError: there is a table that cannot be read.
    """

    def __init__(self, path: Path, recordings: Recordings, paths: Mapping[str, str]) -> None:
        self._keys = list(paths)
        sheet = read_sheet(path)
        self._there = sheet is not None
        self._sheet = sheet or new_sheet(path)
        named: dict[tuple[str, str], int] = {}
        for number, cells in enumerate(self._sheet.rows):
            found, _ = recordings.find(cells[self._sheet.audio].strip(), path.parent)
            if found:
                named.setdefault(identity(found), number)
        rows = ((key, named.get(identity(path))) for key, path in paths.items())
        self._of = {key: row for key, row in rows if row is not None}
        self.own = self.deleted = 0

    def __len__(self) -> int:
        return len(self._sheet.rows)

    def is_foreign(self, key: str, entry: Entry | None) -> bool:
        """Whether the row of a recording is one that vtune did not write."""
        return key in self._of and (entry is None or "written" not in entry)

    def is_known(self, key: str, entry: Entry | None, digest: str, settings: str) -> bool:
        """Whether a recording need not be heard: it was, under these settings, or its row is in the user's hands."""
        if entry is None or entry["digest"] != digest:
            return False
        if entry.get("key") == settings and entry["status"] != "unreadable":
            return True
        return self._is_users(key, entry)

    def merge(self, entries: Mapping[str, Entry]) -> None:
        """Bring the table up to date and write it; note down in the entries what was written."""
        gone = []
        lost = 0
        for key in self._keys:
            entry = entries.get(key)
            row = self._of.get(key)
            if entry is None or self._is_users(key, entry) or self.is_foreign(key, entry):
                self.own += row is not None
                self.deleted += row is None and entry is not None
                continue
            if entry["status"] == "transcribed":
                text, flags = entry["text"], SEPARATOR.join(entry["flags"])
                lost += self._gives_way(key, row, entry, text)
                self._sheet.put(row, entry["filename"], text, flags)
                entry["written"] = [text, flags]
            elif entry["status"] == "empty" and row is not None:
                lost += self._gives_way(key, row, entry, "")
                gone.append(row)
            if entry["status"] != "unreadable":
                entry.pop("changed", None)
        if lost:
            self._keep_former(lost)
        for row in sorted(gone, reverse=True):
            del self._sheet.rows[row]
        self._sheet.write()

    def flagged(self) -> tuple[int, Counter[str]]:
        """Count the rows with red flags, and the flags by kind."""
        cells = [self._sheet.cells(row)[1].strip() for row in range(len(self))]
        kinds = (set(map(kind_of, flags.split(SEPARATOR))) for flags in cells if flags)
        return sum(map(bool, cells)), Counter(kind for row in kinds for kind in row)

    def _is_users(self, key: str, entry: Entry) -> bool:
        written = entry.get("written")
        if not self._there or written is None or entry.get("changed"):
            return False
        return key not in self._of or list(self._sheet.cells(self._of[key])) != written

    def _gives_way(self, key: str, row: int | None, entry: Entry, text: str) -> bool:
        """Whether words of the user's give way, because they were said in another recording; says so."""
        if row is None or not entry.get("changed") or list(self._sheet.cells(row)) == entry["written"]:
            return False
        logger.info("%s has changed; its row said %r, and now says %r", key, self._sheet.cells(row)[0], text)
        return True

    def _keep_former(self, lost: int) -> None:
        """Keep the table as the user left it, under a hidden name, for readers of tables take every other."""
        path = self._sheet.path
        kept = path.with_name(f".{path.stem}-{time.strftime('%Y-%m-%dT%H%M%S')}{path.suffix}")
        with new_file(kept) as aside:
            shutil.copyfile(path, aside)
        logger.warning(
            "%s: %d row(s) that you had changed are written anew, for their recordings have changed; as it was: %s",
            path, lost, kept,
        )  # fmt: skip
