"""Find the recordings below a folder by the names that tables give them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

from vtune import audio
from vtune.dataset.sources.scratch import number_of, scratch

# A path is stored once for each folder: 500,000 recordings then take about 60 bytes each.
_SCHEMA = """
CREATE TABLE folders (id INTEGER PRIMARY KEY, key BLOB UNIQUE, path BLOB);
CREATE TABLE recordings (id INTEGER PRIMARY KEY, stem BLOB, folder INTEGER, name BLOB, problem TEXT);
CREATE INDEX by_stem ON recordings (stem, folder);
CREATE TABLE named (folder INTEGER, name BLOB, PRIMARY KEY (folder, name)) WITHOUT ROWID
"""


class Recordings:
    """Finds the recording that a table names: by path or by name, with or without its ending, also in moved folders.

    The folder is walked once, when a name is not a path by itself or when ``rest`` is called. Links are followed; each
    folder is entered once, and no folder that contains the root.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tables = scratch(self, _SCHEMA)
        self._walked = False
        self._real = lru_cache(maxsize=4096)(_real_folder)
        self._folder_id = lru_cache(maxsize=4096)(partial(number_of, self._tables, "folders"))

    def find(self, name: str, folder: Path) -> tuple[str, str | None]:
        """Return the path of a recording, or an empty path and the problem.

        :param folder: the folder of the table that has the name.
        """
        bases = list(dict.fromkeys((folder, self._root)))
        for base in bases:
            path = str(base / name)
            if _is_recording(path) and os.path.isfile(path):
                return path, None
        part, _, wanted = name.replace("\\", "/").rpartition("/")
        found = self._candidates(wanted, self._homes(part, bases), exclusive=bool(part))
        if len(found) > 1:
            return "", f"{name[:200]!r} could be {found[0]} or {found[1]}; say which"
        if found:
            return found[0], None
        return "", f"names {name[:200]!r}, but {self._root} has no such recording"

    def forget_names(self) -> None:
        """Forget which recordings were named."""
        self._tables.execute("DELETE FROM named")

    def name(self, path: str) -> None:
        """Record that a row names a recording."""
        folder, name = os.path.split(path)
        folder_id = self._folder_id(_bytes(self._real(folder) or folder))
        self._tables.execute("INSERT OR IGNORE INTO named VALUES (?, ?)", (folder_id, _bytes(name)))

    def rest(self) -> Iterator[tuple[str, str | None]]:
        """Yield path and problem of each recording that no row named, by folder and name, and of unreadable folders."""
        self._walk()
        left = self._tables.execute(
            "SELECT path, recordings.name, problem FROM recordings JOIN folders ON folders.id = recordings.folder "
            "LEFT JOIN named ON named.folder = recordings.folder AND named.name = recordings.name "
            "WHERE named.name IS NULL ORDER BY recordings.id"
        )
        for folder, name, problem in left:
            yield os.path.join(_text(folder), _text(name)), problem

    def _homes(self, part: str, bases: list[Path]) -> list[str]:
        """Return the folders that the folder part of a name may mean; if the data was moved, its last parts match."""
        parts = part.split("/")
        for skip in range(len(parts))[-64:]:  # no real path is deeper
            tail = "/".join(parts[skip:])
            found = [real for base in bases if (real := self._real(str(base / tail)))] if tail or not part else []
            if found:
                return list(dict.fromkeys(found))
        return []

    def _candidates(self, wanted: str, homes: list[str], *, exclusive: bool) -> list[str]:
        """Return two paths at most: two are enough to say that a name is ambiguous.

        :param exclusive: the name has a folder, so a file of the same name in another folder is another recording.
        """
        self._walk()
        for stem in dict.fromkeys((_stem(wanted), _stem(f"{wanted}.wav"))):
            for home in homes:
                if found := self._lookup(wanted, "stem = ? AND folder = ?", stem, self._folder_id(_bytes(home))):
                    return found
            if not (homes and exclusive) and (found := self._lookup(wanted, "stem = ?", stem)):
                return found
        return []

    def _lookup(self, wanted: str, where: str, *values: bytes | int) -> list[str]:
        rows = self._tables.execute(
            "SELECT path, name FROM recordings JOIN folders ON folders.id = recordings.folder "
            f"WHERE {where} ORDER BY name != ?, recordings.id LIMIT 2",
            (*values, _bytes(wanted)),
        ).fetchall()
        if rows and rows[0][1] == _bytes(wanted) != rows[-1][1]:
            rows = rows[:1]
        return [os.path.join(_text(folder), _text(name)) for folder, name in rows]

    def _walk(self) -> None:
        if self._walked:
            return
        self._walked = True
        if os.path.isfile(self._root):
            self._insert(os.fspath(self._root.parent), [self._root.name])
        root, seen = os.path.realpath(self._root), set[str]()
        for folder, folders, files in os.walk(self._root, followlinks=True, onerror=self._unreadable):
            home = os.path.realpath(folder)
            above = folder != str(self._root) and (root + os.sep).startswith(home.rstrip(os.sep) + os.sep)
            if home in seen or above:
                folders.clear()
                continue
            seen.add(home)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            self._insert(folder, sorted(name for name in files if _is_recording(name) and not name.startswith(".")))

    def _insert(self, folder: str, names: list[str]) -> None:
        folder_id = self._folder_id(_bytes(os.path.realpath(folder)))
        self._tables.execute("UPDATE folders SET path = ? WHERE id = ?", (_bytes(folder), folder_id))
        self._tables.executemany(
            "INSERT INTO recordings (stem, folder, name) VALUES (?, ?, ?)",
            ((_stem(name), folder_id, _bytes(name)) for name in names),
        )

    def _unreadable(self, error: OSError) -> None:
        parent, name = os.path.split(error.filename)
        folder_id = self._folder_id(_bytes(os.path.realpath(parent)))
        self._tables.execute("UPDATE folders SET path = ? WHERE id = ? AND path IS NULL", (_bytes(parent), folder_id))
        self._tables.execute(
            "INSERT INTO recordings (folder, name, problem) VALUES (?, ?, ?)",
            (folder_id, _bytes(name), f"the folder cannot be opened: {error.strerror}"),
        )


def _is_recording(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in audio.SUFFIXES


def _stem(name: str) -> bytes:
    # macOS writes letters and their accents apart in file names, tables mostly together.
    stem = os.path.splitext(name)[0] if _is_recording(name) else name
    return _bytes(unicodedata.normalize("NFC", stem))


def _bytes(name: str) -> bytes:
    # File names need not be text: other bytes come from the system as lone surrogates.
    return name.encode("utf-8", "surrogatepass")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")


def _real_folder(path: str) -> str | None:
    return os.path.realpath(path) if os.path.isdir(path) else None
