"""Name recordings in a table, so that a reader of the table finds exactly this recording."""

from __future__ import annotations

import os
from pathlib import Path

from vtune.dataset.sources.recordings import Recordings
from vtune.errors import DataError

_FORMULA_CHARACTERS = tuple("=+-@\t\r")
"""Characters that start a formula in a spreadsheet."""


def name_in_table(path: str, folder: Path, table: Path, recordings: Recordings) -> str:
    """Return the stem of a recording if it is unambiguous, else its path relative to the table.

    :param folder: the folder that is transcribed, and the root of ``recordings``.
    :raises DataError: the name of the recording is not valid text, so a table cannot hold it.
    """
    relative = os.path.relpath(path, table.parent)
    try:
        relative.encode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise DataError(
            f"the name of {shown!r} is not valid text, so a table cannot hold it; rename the file"
        ) from error
    names = [relative, os.path.join(".", relative)]
    if os.path.realpath(folder) == os.path.realpath(table.parent):
        # If the table lies elsewhere, readers would look for a bare name in the table's folder.
        names.insert(0, os.path.splitext(os.path.basename(path))[0])
    for name in names:
        if name.strip() == name and not name.startswith(_FORMULA_CHARACTERS):
            recording, _ = recordings.find(name, table.parent)
            if recording and identity(recording) == identity(path):
                return name
    raise DataError(f"a table cannot name {path!r} without ambiguity; rename the file")


def identity(path: str) -> tuple[str, str]:
    """Return the real folder of a recording and its name there, which together identify it."""
    home, name = os.path.split(path)
    return os.path.realpath(home), name
