"""Keep the history of a review: ``review.jsonl`` beside the table, one line per edit, written before the edit."""

from __future__ import annotations

import dataclasses
import getpass
import json
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from vtune.dataset.editing.edit import Change, OnChange
from vtune.errors import VtuneError

HISTORY_NAME = "review.jsonl"
"""Name of the history in the folder of a table or sidecar."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One edit.

    :param action: words, approve, doubt (an approval is withdrawn), drop, restore, split, add or undo.
    :param file: name of the table or sidecar in the folder of the history.
    :param line: line in the file before the edit.
    :param audio: path of the recording relative to the folder of the history.
    :param before: content of the row before the edit.
    :param after: content of the row after the edit.
    :param of: id of the edit that is undone, or of the drop that is restored.
    :param digest: hash of the recording that is approved.
    :param made: hash of each file that a split wrote, by its path relative to the folder of the history.
    :param who: name of the user.
    """

    action: str
    file: str
    line: int | None
    audio: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    of: str | None = None
    digest: str | None = None
    made: Mapping[str, str] = field(default_factory=dict)
    change: Change | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="microseconds"))
    who: str = field(default_factory=lambda: _user())


class History:
    """The edits of one folder. An incomplete line, which a killed run may leave, is ignored.

    :raises VtuneError: the history exists but cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / HISTORY_NAME
        self.entries: list[HistoryEntry] = []
        self._whole = True
        if os.path.lexists(self.path) and not self.path.is_file():
            raise VtuneError(f"{self.path} is not a plain file, so vtune cannot keep a history there; move it away")
        try:
            data = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise VtuneError(f"{self.path} cannot be read: {error.strerror}") from error
        self._whole = not data or data.endswith(b"\n")
        self.entries = [entry for line in data.split(b"\n") if (entry := _entry(line)) is not None]

    def append(self, entry: HistoryEntry) -> HistoryEntry:
        """Append an edit to the file, and flush it to disk."""
        # A file name need not be valid text; such bytes are escaped as in JSON.
        line = json.dumps(dataclasses.asdict(entry), ensure_ascii=False).encode("utf-8", "backslashreplace")
        with self.path.open("ab") as file:
            file.write((b"" if self._whole else b"\n") + line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._whole = True
        self.entries.append(entry)
        return entry

    def standing(self) -> list[HistoryEntry]:
        """Return the edits that were not undone, without the undo entries."""
        undone: set[str | None] = set()
        for entry in reversed(self.entries):  # an undo may itself be undone by a later line
            if entry.action == "undo" and entry.id not in undone:
                undone.add(entry.of)
        return [entry for entry in self.entries if entry.action != "undo" and entry.id not in undone]

    def carry_out(self, entry: HistoryEntry, make: Callable[[OnChange], Change]) -> HistoryEntry:
        """Make a change and append it to the history just before; return the entry with the change.

        :param make: makes the change; it calls its argument with the change before it writes.
        """
        entries: list[HistoryEntry] = []
        try:
            make(lambda change: entries.append(self.append(dataclasses.replace(entry, change=change))))
        except BaseException:
            for appended in entries:  # for example a full disk: the appended change did not happen
                with suppress(OSError):
                    self.append(undo_entry(appended))
            raise
        return entries[0]

    def recover(self, file: str, digest: str) -> None:
        """Mark the last edit of a file as undone if it was appended but never made, because the run was killed.

        :param digest: hash of the file now.
        """
        last = next((e for e in reversed(self.entries) if e.file == file and e.change is not None), None)
        if last is not None and last.change is not None and last.change.was == digest != last.change.now:
            self.append(undo_entry(last))
            self.remove_made(last)

    def remove_made(self, entry: HistoryEntry) -> None:
        """Delete the files that an edit wrote, if they did not change since."""
        for name, digest in entry.made.items():
            path = self.path.parent / name
            is_review_file = path.suffix.lower() in (".wav", ".txt", ".lab")
            if is_review_file and path.is_file() and sha256(path.read_bytes()).hexdigest() == digest:
                path.unlink()


def undo_entry(entry: HistoryEntry) -> HistoryEntry:
    """Return the entry that undoes another entry."""
    return HistoryEntry(
        "undo", entry.file, entry.line, entry.audio, before=entry.after, after=entry.before, of=entry.id
    )


def _entry(line: bytes) -> HistoryEntry | None:
    try:
        values = json.loads(line.decode("utf-8"))
        change = values.pop("change")
        entry = HistoryEntry(**values, change=None if change is None else Change(**change))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return entry if _is_valid(entry) else None


def _is_valid(entry: HistoryEntry) -> bool:
    texts = (entry.action, entry.file, entry.audio, entry.id, entry.time)
    mappings = (entry.before, entry.after, entry.made)
    change = entry.change
    return (
        all(isinstance(text, str) for text in texts)
        # A history may come with a data set from somebody else: it must not reach files outside its own folder.
        and entry.file == os.path.basename(entry.file) not in ("", ".", "..")
        and all(isinstance(mapping, dict) for mapping in mappings)
        and (change is None or all(isinstance(n, int) for n in (change.row, change.took, change.put, change.start)))
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without accounts
        return "unknown"
