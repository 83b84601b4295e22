"""Read a JSON text value by value, with the line that each begins at; never a whole file in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

from vtune.dataset.sources.plain_text import open_text
from vtune.errors import DataError

BLOCK_CHARACTERS = 1 << 16
MAX_FIRST_LINE_CHARACTERS = 1 << 20
"""A first line that is longer is no row of JSON Lines."""

_AFTER_VALUE = frozenset(" \t\r\n,:]}")


def holds_json_lines(path: Path, encoding: str, *, accept_one: bool) -> bool:
    """Tell whether the first lines of a file are JSON values, each whole on its line.

    :param accept_one: whether a single line with an object counts, which may also be one value that is no table row.
    """
    with open_text(path, encoding) as file:
        lines = (line for line in iter(lambda: file.readline(MAX_FIRST_LINE_CHARACTERS), "") if line.strip())
        first, second = next(lines, ""), next(lines, "")
    value = _parsed(first)
    if isinstance(value, dict):
        return bool(second) or accept_one
    return isinstance(value, list) and _parsed(second) is not None


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


class JsonReader:
    """Reads an open JSON text and counts lines."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._file = path, file
        self._text, self._position, self._line = "", 0, 1
        self._ended = False

    def symbol(self) -> str:
        """Take the next character that is not white space; empty at the end."""
        character = self.peek()
        self._position += len(character)
        return character

    def peek(self) -> str:
        """Look at the next character that is not white space."""
        while True:
            rest = self._text[self._position : self._position + 256]
            blank = len(rest) - len(rest.lstrip(" \t\r\n"))
            self._line += rest.count("\n", 0, blank)
            self._position += blank
            if blank < len(rest):
                return rest[blank]
            if self._position >= len(self._text) and not self._more(BLOCK_CHARACTERS):
                return ""

    def expect(self, symbols: str) -> str:
        """Take one of some characters. :raises DataError: another stands there."""
        character = self.symbol()
        if not character or character not in symbols:
            raise self.broken(f"expected {' or '.join(symbols)}, found {character!r}" if character else "it breaks off")
        return character

    def value(self) -> tuple[int, Any]:
        """Take one value with the line that it begins at. :raises DataError: no value stands there."""
        self.peek()
        line, size = self._line, BLOCK_CHARACTERS
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self._text, self._position)
                # A number at the end of what was read may go on: "1" as "1.5", "1." or "1e3".
                if self._text[end : end + 1] in _AFTER_VALUE or self._ended:
                    break
            except (ValueError, RecursionError) as error:
                if self._ended or isinstance(error, RecursionError):
                    raise self.broken(getattr(error, "msg", "nested too deeply")) from error
            self._more(size)
            size *= 2
        self._line += self._text.count("\n", self._position, end)
        self._position = end
        return line, value

    def broken(self, what: str) -> DataError:
        """Say where it is not JSON."""
        return DataError(f"{self._path}:{self._line}: not JSON: {what}")

    def _more(self, size: int) -> bool:
        added = self._file.read(size)
        self._ended = not added
        self._text, self._position = self._text[self._position :] + added, 0
        return bool(added)
