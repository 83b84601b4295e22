"""What a recording is called in the table: so that whoever reads the table finds this recording and no other."""

from __future__ import annotations

import os
from pathlib import Path

from vtune.dataset.sources.recordings import Recordings
from vtune.errors import DataError

_FORMULA = tuple("=+-@\t\r")
"""What a spreadsheet takes for the beginning of a formula."""


def name_in_table(path: str, folder: Path, table: Path, recordings: Recordings) -> str:
    """Return the stem where that is enough, else the path from the table with its ending.

    :param folder: that is transcribed, the root of ``recordings``.
    :raises DataError: the name of the recording is not text, so no table can hold it.
    """
    beside = os.path.relpath(path, table.parent)
    try:
        beside.encode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise DataError(f"the name of {shown!r} is not text, so a table cannot hold it; rename the file") from error
    names = [beside, os.path.join(".", beside)]
    if os.path.realpath(folder) == os.path.realpath(table.parent):
        # Elsewhere, readers would look for a bare name below the folder of the table.
        names.insert(0, os.path.splitext(os.path.basename(path))[0])
    for name in names:
        if name.strip() == name and not name.startswith(_FORMULA):
            found, _ = recordings.find(name, table.parent)
            if found and identity(found) == identity(path):
                return name
    raise DataError(f"no name of {path!r} is understood in a table; rename the file")


def identity(path: str) -> tuple[str, str]:
    """Tell a recording from all others: by its real folder and its name there."""
    home, name = os.path.split(path)
    return os.path.realpath(home), name
