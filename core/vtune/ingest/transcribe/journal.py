"""The journal: one JSON line for each recording that was listened to, written at once, so that a kill loses nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vtune.errors import DataError
from vtune.runtime.disk import writing
from vtune.runtime.paths import write_text

_STRINGS = ("recording", "digest", "status", "reason", "text", "filename")


class Journal:
    """A file of JSON lines by key; a later line of a key stands for the earlier, and a half line is none.

    :raises DataError: what lies there is no plain file, or no journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: dict[str, dict[str, Any]] = {}
        if not os.path.lexists(path):
            return
        if not os.path.isfile(path):
            raise DataError(f"{path} is not a plain file; take it away, the journal is written there")
        whole = 0
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            for line in file:
                whole += line.endswith("\n")
                entry = _parsed(line)
                if entry is not None:
                    self.entries[entry["recording"]] = entry
        if whole and not self.entries:
            raise DataError(f"{path} is no journal of vtune's, and would be overwritten; name another output")

    def add(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Append entries, each with its key as ``recording``; they are on disk when this returns."""
        lines = []
        for entry in entries:
            self.entries[entry["recording"]] = dict(entry)
            lines.append(_line(entry))
        with writing(self._path), self._path.open("ab") as file:
            # Else the first line would be the end of one that a kill cut short.
            file.write(("" if _ends_whole(self._path) else "\n").encode() + "".join(lines).encode())
            file.flush()
            os.fsync(file.fileno())

    def rewrite(self, order: Iterable[str]) -> None:
        """Write one line for each key, those of ``order`` first, whole or not at all.

        The rest stays: a recording that is not there now may come back.
        """
        first = {key: self.entries[key] for key in order if key in self.entries}
        self.entries = {**first, **self.entries}
        write_text(self._path, "".join(map(_line, self.entries.values())))


def _line(entry: Mapping[str, Any]) -> str:
    # Escaped throughout: names of files need not be text.
    return json.dumps(entry) + "\n"


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(entry, dict) and all(isinstance(entry.get(key), str) for key in _STRINGS)
    return entry if whole else None


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
