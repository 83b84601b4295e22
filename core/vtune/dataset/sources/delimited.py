"""Rows of CSV, TSV and pipe tables with the line each begins at; a broken row costs no other row."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from vtune.dataset.sources.plain_text import open_text

KINDS = {",": "CSV", "\t": "TSV", ";": "CSV with ';'", "|": "table with '|'"}
"""What a table is called, by its delimiter."""


class _Quoted(csv.excel):
    strict = True  # else a quote that is never closed swallows the rows after it


class _Pipes(csv.excel):
    quoting = csv.QUOTE_NONE  # LJSpeech's words hold quotes that mean nothing


def delimiter_of(path: Path, encoding: str) -> str:
    """Tell the delimiter from the first line that is not blank."""
    with open_text(path, encoding) as file:
        first = next((line for line in file if line.strip()), "")
    # In LJSpeech's form the words hold commas, so a pipe decides.
    return "|" if "|" in first else max(KINDS, key=first.count)


def read_rows(path: Path, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str], str | None]]:
    """Yield line, cells and problem of every row that is not blank.

    A row that cannot be parsed is one line: reading goes on at the next, however far its open quote reached.
    """
    dialect = _Pipes if delimiter == "|" else _Quoted
    with open_text(path, encoding, newline="") as file:
        again: deque[str] = deque()
        taken: list[str] = []

        def feed() -> Iterator[str]:
            while line := again.popleft() if again else file.readline():
                taken.append(line)
                yield line

        line = 1
        while True:
            taken.clear()
            problem = None
            try:
                cells = next(csv.reader(feed(), dialect, delimiter=delimiter))
            except StopIteration:
                return
            except csv.Error as error:
                problem = f"cannot be parsed: {error}; a quote inside quoted words is written twice"
                cells = taken[0].rstrip("\r\n").split(delimiter)
                again.extendleft(reversed(taken[1:]))
                del taken[1:]
            if any(cell.strip() for cell in cells):
                yield line, cells, problem
            line += len(taken)
