"""What grows with the number of clips while they are surveyed: on disk, so that memory does not grow with it."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import weakref
from typing import Any

from vtune.runtime.disk import disk_error, errno_of


class _Tables(sqlite3.Connection):
    """Tells where the disk is full: where SQLite keeps what has no name."""

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """Run one statement. :raises DiskError: the disk of temporary files cannot be written."""
        try:
            return super().execute(*arguments)
        except sqlite3.OperationalError as error:
            raise _told(error) from error

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        """Run one statement with many values. :raises DiskError: as ``execute``."""
        try:
            return super().executemany(*arguments)
        except sqlite3.OperationalError as error:
            raise _told(error) from error


def _told(error: sqlite3.OperationalError) -> Exception:
    number = errno_of(error)
    folder = os.environ.get("SQLITE_TMPDIR") or tempfile.gettempdir()
    return error if number is None else disk_error(f"{folder} (temporary files, see TMPDIR)", number)


def scratch(owner: object, schema: str) -> sqlite3.Connection:
    """Open tables of SQLite's own temporary kind: nameless, gone with ``owner``, in memory while they are small."""
    # One transaction from beginning to end, without a journal: nobody needs these tables after a failure.
    tables = sqlite3.connect("", isolation_level=None, factory=_Tables)
    weakref.finalize(owner, tables.close)
    tables.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {schema}; BEGIN")
    return tables
