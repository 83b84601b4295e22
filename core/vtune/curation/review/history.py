"""The history of a review: ``review.jsonl`` beside the table, one line an edit, written before the edit is made."""

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

NAME = "review.jsonl"


@dataclass(frozen=True, slots=True)
class Entry:
    """One edit.

    :param action: words, approve, doubt (an approval taken back), drop, restore, split, add or undo.
    :param file: name of the table or sidecar, in the folder of the history; ``line`` in it, before the edit.
    :param audio: the recording, seen from the folder of the history.
    :param before: what the row said; ``after``, what it says now.
    :param of: id of the edit that is undone, or of the dropping that a restoring ends.
    :param digest: of the recording that is approved.
    :param made: files that a splitting wrote, seen from the folder of the history, and their digests.
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
    """The edits of one folder. A line that is not whole, as a killed run leaves it, is passed over.

    :raises VtuneError: there is a history, but it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.entries: list[Entry] = []
        self._whole = True
        if os.path.lexists(self.path) and not self.path.is_file():
            raise VtuneError(f"{self.path} is not a plain file, so no history can be kept; move it away")
        try:
            data = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise VtuneError(f"{self.path} cannot be read: {error.strerror}") from error
        self._whole = not data or data.endswith(b"\n")
        self.entries = [entry for line in data.split(b"\n") if (entry := _entry(line)) is not None]

    def append(self, entry: Entry) -> Entry:
        """Write an edit down, flushed to disk."""
        # File names need not be text; what is none is escaped as JSON has it.
        line = json.dumps(dataclasses.asdict(entry), ensure_ascii=False).encode("utf-8", "backslashreplace")
        with self.path.open("ab") as file:
            file.write((b"" if self._whole else b"\n") + line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._whole = True
        self.entries.append(entry)
        return entry

    def standing(self) -> list[Entry]:
        """Return the edits that are not undone, without the undoings."""
        dead: set[str | None] = set()
        for entry in reversed(self.entries):  # an undoing may be undone itself, by a later line
            if entry.action == "undo" and entry.id not in dead:
                dead.add(entry.of)
        return [entry for entry in self.entries if entry.action != "undo" and entry.id not in dead]

    def carry_out(self, entry: Entry, make: Callable[[OnChange], Change]) -> Entry:
        """Make a change and write it down, just before it is made; return the entry with the change.

        :param make: makes it, and tells what it is given of it beforehand.
        """
        told: list[Entry] = []
        try:
            make(lambda change: told.append(self.append(dataclasses.replace(entry, change=change))))
        except BaseException:
            for on_change in told:  # a full disk, say: what was written down did not happen
                with suppress(OSError):
                    self.append(undoing(on_change))
            raise
        return told[0]

    def recover(self, file: str, digest: str) -> None:
        """Mark the last edit of a file as undone if it was written down but never made, as a killed run leaves it.

        :param digest: of the file now.
        """
        last = next((e for e in reversed(self.entries) if e.file == file and e.change is not None), None)
        if last is not None and last.change is not None and last.change.was == digest != last.change.now:
            self.append(undoing(last))
            self.remove_made(last)

    def remove_made(self, entry: Entry) -> None:
        """Delete the files that an edit wrote, where they are still as it wrote them."""
        for name, digest in entry.made.items():
            path = self.path.parent / name
            ours = path.suffix.lower() in (".wav", ".txt", ".lab")
            if ours and path.is_file() and sha256(path.read_bytes()).hexdigest() == digest:
                path.unlink()


def undoing(entry: Entry) -> Entry:
    """Return the entry that takes another back."""
    return Entry("undo", entry.file, entry.line, entry.audio, before=entry.after, after=entry.before, of=entry.id)


def _entry(line: bytes) -> Entry | None:
    try:
        told = json.loads(line.decode("utf-8"))
        change = told.pop("change")
        entry = Entry(**told, change=None if change is None else Change(**change))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return entry if _sound(entry) else None


def _sound(entry: Entry) -> bool:
    texts = (entry.action, entry.file, entry.audio, entry.id, entry.time)
    mappings = (entry.before, entry.after, entry.made)
    change = entry.change
    return (
        all(isinstance(text, str) for text in texts)
        # A history may come with a data set: it shall reach nothing beside its own folder.
        and entry.file == os.path.basename(entry.file) not in ("", ".", "..")
        and all(isinstance(mapping, dict) for mapping in mappings)
        and (change is None or all(isinstance(n, int) for n in (change.row, change.took, change.put, change.start)))
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without accounts
        return "unknown"
