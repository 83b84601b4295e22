"""Keep the journal: one JSON line per recognised recording, written at once, so that a killed run loses nothing."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vtune.dataset.sources.own_files import JOURNAL_SUFFIX
from vtune.errors import DataError
from vtune.runtime.disk import writing
from vtune.runtime.paths import write_text

_STRING_KEYS = ("recording", "digest", "status", "reason", "text", "filename")


class Journal:
    """A file of JSON lines by key. A later line replaces an earlier one with its key; an incomplete line is ignored.

    :raises DataError: the path is not a plain file, or the file is not a journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: dict[str, dict[str, Any]] = {}
        if not os.path.lexists(path):
            return
        if not os.path.isfile(path):
            raise DataError(f"{path} is not a plain file; move it away, because the journal is written there")
        complete_lines = 0
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            for line in file:
                complete_lines += line.endswith("\n")
                entry = _parsed(line)
                if entry is not None:
                    self.entries[entry["recording"]] = entry
        if complete_lines and not self.entries:
            raise DataError(f"{path} is not a journal of vtune and would be overwritten; name another output")

    def add(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Append entries, each with its key as ``recording``. They are on disk when this method returns."""
        lines = []
        for entry in entries:
            self.entries[entry["recording"]] = dict(entry)
            lines.append(_line(entry))
        with writing(self._path), self._path.open("ab") as file:
            # A line break first, if a killed run left an incomplete line: the entry would be appended to it.
            file.write(("" if _ends_whole(self._path) else "\n").encode() + "".join(lines).encode())
            file.flush()
            os.fsync(file.fileno())

    def absorb_ranks(self) -> None:
        """Move the entries of the ranks' journals into this one; only the main process of a launch does this.

        An entry of the same recording and settings is in this journal already if the main process has received it.
        Such an entry stays, because it also knows what was written into the table.
        """
        for path in sorted(self._path.parent.glob(f"{glob.escape(_stem_of(self._path))}.*.rank*{JOURNAL_SUFFIX}")):
            entries = Journal(path).entries.values()
            self.add(entry for entry in entries if not _is_same_work(self.entries.get(entry["recording"]), entry))
            path.unlink(missing_ok=True)

    def rewrite(self, order: Iterable[str]) -> None:
        """Rewrite the file with one line per key, the keys of ``order`` first; the file is replaced in one step.

        Other keys stay: a recording that is missing now may come back.
        """
        first = {key: self.entries[key] for key in order if key in self.entries}
        self.entries = {**first, **self.entries}
        write_text(self._path, "".join(map(_line, self.entries.values())))


def rank_journal(journal: Path, launch: str, rank: int) -> Path:
    """Return the path of a rank's own journal: several machines cannot append to one file safely.

    :param journal: the journal of the main process.
    :param launch: random letters of this launch, so that a rank never writes into a file of an earlier launch.
    """
    return journal.with_name(f"{_stem_of(journal)}.{launch}.rank{rank}{JOURNAL_SUFFIX}")


def _stem_of(journal: Path) -> str:
    return journal.name.removesuffix(JOURNAL_SUFFIX)


def _is_same_work(former: Mapping[str, Any] | None, entry: Mapping[str, Any]) -> bool:
    return former is not None and all(former.get(name) == entry.get(name) for name in ("digest", "key", "status"))


def _line(entry: Mapping[str, Any]) -> str:
    # JSON escapes all bytes that are not text: a file name need not be valid text.
    return json.dumps(entry) + "\n"


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_complete = isinstance(entry, dict) and all(isinstance(entry.get(key), str) for key in _STRING_KEYS)
    return entry if is_complete else None


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
