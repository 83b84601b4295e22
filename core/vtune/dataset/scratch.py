"""What grows with the number of clips while they are surveyed: on disk, so that memory does not grow with it."""

from __future__ import annotations

import sqlite3
import weakref


def scratch(owner: object, schema: str) -> sqlite3.Connection:
    """Open tables of SQLite's own temporary kind: nameless, gone with ``owner``, in memory while they are small."""
    # One transaction from beginning to end, without a journal: nobody needs these tables after a failure.
    tables = sqlite3.connect("", isolation_level=None)
    weakref.finalize(owner, tables.close)
    tables.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {schema}; BEGIN")
    return tables
