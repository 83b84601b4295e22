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
CREATE TABLE named (folder INTEGER, name BLOB, PRIMARY KEY (folder, name)) WITHOUT ROWID;
CREATE TABLE others (id INTEGER PRIMARY KEY, stem BLOB, short_stem BLOB, ending TEXT, folder INTEGER, name BLOB)
"""

_NAMESAKE = "SELECT 1 FROM recordings WHERE recordings.stem IN (others.stem, others.short_stem)"

MAX_ANCESTORS = 4
"""Folders above a table from which its paths are tried: ``egs/x/data/train/wav.scp`` names ``downloads/a.wav``."""


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
        if os.sep in name and (above := _from_above(name, folder)):
            return above, None
        part, _, file_name = name.replace("\\", "/").rpartition("/")
        candidates = self._candidates(file_name, self._homes(part, bases), "" if part else os.path.realpath(folder))
        if len(candidates) > 1:
            return "", f"{name[:200]!r} could be {candidates[0]} or {candidates[1]}; say which"
        if candidates:
            return candidates[0], None
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

    def has_stem(self, name: str) -> bool:
        """Tell whether a recording has this name; folders and the ending of the name do not matter."""
        self._walk()
        file_name = name.replace("\\", "/").rpartition("/")[2]
        stems = (_stem(file_name), _stem(f"{file_name}.wav"))
        query = "SELECT 1 FROM recordings WHERE stem IN (?, ?) LIMIT 1"
        return bool(file_name) and self._tables.execute(query, stems).fetchone() is not None

    def count(self) -> int:
        """Return the number of recordings."""
        self._walk()
        query = "SELECT COUNT(*) FROM recordings WHERE problem IS NULL"
        return int(self._tables.execute(query).fetchone()[0])

    def counts_of_folders(self) -> dict[str, int]:
        """Return the number of recordings in each folder that holds some, by real path, in the order of the walk."""
        self._walk()
        query = (
            "SELECT key, COUNT(*) FROM recordings JOIN folders ON folders.id = recordings.folder WHERE problem IS NULL "
            "GROUP BY folder ORDER BY MIN(recordings.id)"
        )
        return {_text(folder): count for folder, count in self._tables.execute(query)}

    def namesakes(self, count: int) -> list[str]:
        """Return the first ``count`` files of each ending that have a recording's name and are no recordings."""
        return self._others(f"EXISTS ({_NAMESAKE})", count)

    def loose_files(self, count: int) -> list[str]:
        """Return the first ``count`` files of each ending that are no recordings and have no recording's name."""
        return self._others(f"NOT EXISTS ({_NAMESAKE})", count)

    def files_named(self, name: str) -> list[str]:
        """Return all files of a name that are no recordings."""
        self._walk()
        query = "SELECT path FROM others JOIN folders ON folders.id = others.folder WHERE name = ? ORDER BY others.id"
        return [os.path.join(_text(folder), name) for (folder,) in self._tables.execute(query, (_bytes(name),))]

    def _others(self, where: str, count: int) -> list[str]:
        self._walk()
        rows = self._tables.execute(
            "SELECT path, other.name FROM (SELECT *, row_number() OVER (PARTITION BY ending ORDER BY id) AS number "
            f"FROM others WHERE {where}) AS other JOIN folders ON folders.id = other.folder WHERE number <= ? "
            "ORDER BY other.id",
            (count,),
        )
        return [os.path.join(_text(folder), _text(name)) for folder, name in rows]

    def _homes(self, part: str, bases: list[Path]) -> list[str]:
        """Return the folders that the folder part of a name may mean; if the data was moved, its last parts match."""
        parts = part.split("/")
        for skip in range(len(parts))[-64:]:  # no real path is deeper
            tail = "/".join(parts[skip:])
            real_paths = [real for base in bases if (real := self._real(str(base / tail)))] if tail or not part else []
            if real_paths:
                return list(dict.fromkeys(real_paths))
        return []

    def _candidates(self, file_name: str, homes: list[str], start: str) -> list[str]:
        """Return two paths at most: two are enough to say that a name is ambiguous.

        :param start: folder of the table, from which the search widens; empty if the name has a folder, because then a
            file of the same name in another folder is another recording.
        """
        self._walk()
        for stem in dict.fromkeys((_stem(file_name), _stem(f"{file_name}.wav"))):
            for home in homes:
                if paths := self._lookup(file_name, "stem = ? AND folder = ?", stem, self._folder_id(_bytes(home))):
                    return paths
            # Two corpora side by side use the same names: the recording nearest to the table is meant.
            for base in _upwards(start, os.path.realpath(self._root)):
                inside = _bytes(base.rstrip(os.sep) + os.sep)
                span = "stem = ? AND folder IN (SELECT id FROM folders WHERE key = ? OR key >= ? AND key < ?)"
                if paths := self._lookup(file_name, span, stem, _bytes(base), inside, inside[:-1] + b"0"):
                    return paths
            if (start or not homes) and (paths := self._lookup(file_name, "stem = ?", stem)):
                return paths
        return []

    def _lookup(self, file_name: str, where: str, *values: bytes | int) -> list[str]:
        rows = self._tables.execute(
            "SELECT path, name FROM recordings JOIN folders ON folders.id = recordings.folder "
            f"WHERE {where} ORDER BY name != ?, recordings.id LIMIT 2",
            (*values, _bytes(file_name)),
        ).fetchall()
        if rows and rows[0][1] == _bytes(file_name) != rows[-1][1]:
            rows = rows[:1]
        return [os.path.join(_text(folder), _text(name)) for folder, name in rows]

    def _walk(self) -> None:
        if self._walked:
            return
        self._walked = True
        if os.path.isfile(self._root):
            self._insert(os.fspath(self._root.parent), [self._root.name])
            self._insert_others(os.fspath(self._root.parent), sorted(os.listdir(self._root.parent)))
            return
        root, seen = os.path.realpath(self._root), set[str]()
        for folder, folders, files in os.walk(self._root, followlinks=True, onerror=self._unreadable):
            home = os.path.realpath(folder)
            above = folder != str(self._root) and (root + os.sep).startswith(home.rstrip(os.sep) + os.sep)
            if home in seen or above:
                folders.clear()
                continue
            seen.add(home)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            names = sorted(name for name in files if not name.startswith("."))
            self._insert(folder, [name for name in names if _is_recording(name)])
            self._insert_unfinished(folder, [name for name in names if _is_recording(audio.finished_name(name) or "")])
            self._insert_others(folder, names)

    def _insert(self, folder: str, names: list[str]) -> None:
        folder_id = self._folder_id(_bytes(os.path.realpath(folder)))
        self._tables.execute("UPDATE folders SET path = ? WHERE id = ?", (_bytes(folder), folder_id))
        self._tables.executemany(
            "INSERT INTO recordings (stem, folder, name) VALUES (?, ?, ?)",
            ((_stem(name), folder_id, _bytes(name)) for name in names),
        )

    def _insert_unfinished(self, folder: str, names: list[str]) -> None:
        folder_id = self._folder_id(_bytes(os.path.realpath(folder)))
        self._tables.executemany(
            "INSERT INTO recordings (folder, name, problem) VALUES (?, ?, ?)",
            ((folder_id, _bytes(name), f"{name} is an unfinished download; download it again") for name in names),
        )

    def _insert_others(self, folder: str, names: list[str]) -> None:
        folder_id = self._folder_id(_bytes(os.path.realpath(folder)))
        self._tables.execute("UPDATE folders SET path = ? WHERE id = ?", (_bytes(folder), folder_id))
        others = (name for name in names if not _is_recording(name))
        self._tables.executemany(
            "INSERT INTO others (stem, short_stem, ending, folder, name) VALUES (?, ?, ?, ?, ?)",
            ((*map(_plain, _stems(name)), _ending(name), folder_id, _bytes(name)) for name in others),
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


def _from_above(name: str, folder: Path) -> str | None:
    """Return the recording that a path names from a folder above the table; people write tables from there."""
    if not _is_recording(name) or os.path.isabs(name):
        return None
    above = list(folder.absolute().parents)[:MAX_ANCESTORS]
    return next((str(base / name) for base in above if os.path.isfile(base / name)), None)


def _upwards(start: str, root: str) -> list[str]:
    """Return a folder and the folders above it up to the root; an empty list if it does not lie in the root."""
    bases = []
    while start and (start == root or start.startswith(root.rstrip(os.sep) + os.sep)):
        bases.append(start)
        if start == root:
            break
        start = os.path.dirname(start)
    return bases


def _stems(name: str) -> tuple[str, str]:
    """Return a file name without its ending and without two: ``a.normalized.txt`` belongs to ``a.wav``."""
    stem, _ = os.path.splitext(name)
    inner, middle = os.path.splitext(stem)
    return stem, inner if middle[1:].isalpha() else stem


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower().encode("utf-8", "replace").decode()


def _stem(name: str) -> bytes:
    # macOS writes letters and their accents apart in file names, tables mostly together.
    return _plain(os.path.splitext(name)[0] if _is_recording(name) else name)


def _plain(stem: str) -> bytes:
    return _bytes(unicodedata.normalize("NFC", stem))


def _bytes(name: str) -> bytes:
    # File names need not be text: other bytes come from the system as lone surrogates.
    return name.encode("utf-8", "surrogatepass")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")


def _real_folder(path: str) -> str | None:
    return os.path.realpath(path) if os.path.isdir(path) else None
