"""What grows with the number of clips while they are surveyed: on disk, so that memory does not grow with it."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import weakref
from typing import Any

from vtune.runtime.disk import disk_error, errno_of


class _ScratchConnection(sqlite3.Connection):
    """Names the folder of temporary files in the error, if the disk is full."""

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """Run one statement. :raises DiskError: the disk of temporary files cannot be written."""
        try:
            return super().execute(*arguments)
        except sqlite3.OperationalError as error:
            raise _as_disk_error(error) from error

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        """Run one statement with many values. :raises DiskError: as ``execute``."""
        try:
            return super().executemany(*arguments)
        except sqlite3.OperationalError as error:
            raise _as_disk_error(error) from error


def _as_disk_error(error: sqlite3.OperationalError) -> Exception:
    number = errno_of(error)
    folder = os.environ.get("SQLITE_TMPDIR") or tempfile.gettempdir()
    return error if number is None else disk_error(f"{folder} (temporary files, see TMPDIR)", number)


CACHE_BYTES = 64 * 2**20
"""Largest memory of one database. With SQLite's default of 2 MB, each row of a large table costs a read of the disk."""


def scratch(owner: object, schema: str) -> sqlite3.Connection:
    """Open a temporary SQLite database without a name, gone with ``owner``, and in memory while it is small."""
    # One transaction for everything, without a journal: these tables are not needed after a failure.
    connection = sqlite3.connect("", isolation_level=None, factory=_ScratchConnection)
    weakref.finalize(owner, connection.close)
    pragmas = f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{CACHE_BYTES // 1024}"
    connection.executescript(f"{pragmas}; {schema}; BEGIN")
    return connection


def number_of(tables: sqlite3.Connection, table: str, key: str | bytes) -> int:
    """Return the number of a long name in a table ``(id, key)``; the name gets one if it has none."""
    tables.execute(f"INSERT OR IGNORE INTO {table} (key) VALUES (?)", (key,))
    return int(tables.execute(f"SELECT id FROM {table} WHERE key = ?", (key,)).fetchone()[0])
