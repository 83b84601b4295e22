"""Items of JSON Lines files and JSON lists, with the line each begins at; never a whole file in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from vtune.dataset.sources.plain_text import open_text
from vtune.errors import DataError

_BLOCK = 1 << 16
_AFTER = frozenset(" \t\r\n,:]}")


def read_json_lines(path: Path, encoding: str) -> Iterator[tuple[int, Any, str | None]]:
    """Yield line, item and problem of every line that is not blank."""
    with open_text(path, encoding, newline="\n") as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                yield line, json.loads(text), None
            except (ValueError, RecursionError) as error:
                yield line, None, f"not JSON: {error}"


def read_json_list(path: Path, encoding: str) -> Iterator[tuple[int, Any]]:
    """Yield line and item of a list; of one object of names and words, each pair as an item.

    :raises DataError: it is neither, or breaks off; says at which line.
    """
    with open_text(path, encoding) as file:
        text = _Text(path, file)
        opening = text.symbol()
        if opening not in ("[", "{"):
            raise DataError(f"{path} holds no JSON list; a .json table is a list of objects")
        closing = "]" if opening == "[" else "}"
        if text.peek() == closing:
            return
        while True:
            line, item = text.value()
            if opening == "{":
                text.expect(":")
                _, words = text.value()
                if not isinstance(item, str) or not isinstance(words, str):
                    raise DataError(
                        f"{path} holds one JSON object; a .json table is a list of objects, "
                        "or one object whose keys name recordings and whose values are words"
                    )
                item = {"filename": item, "text": words}
            yield line, item
            if text.expect("," + closing) == closing:
                break
        if text.symbol():
            raise text.broken("something follows the end of the list")


class _Text:
    """Reads a JSON text piece by piece and keeps count of lines."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._file = path, file
        self._text, self._place, self._line = "", 0, 1
        self._ended = False

    def symbol(self) -> str:
        """Take the next character that is not white space; empty at the end."""
        found = self.peek()
        self._place += len(found)
        return found

    def peek(self) -> str:
        """Look at the next character that is not white space."""
        while True:
            rest = self._text[self._place : self._place + 256]
            blank = len(rest) - len(rest.lstrip(" \t\r\n"))
            self._line += rest.count("\n", 0, blank)
            self._place += blank
            if blank < len(rest):
                return rest[blank]
            if self._place >= len(self._text) and not self._more(_BLOCK):
                return ""

    def expect(self, symbols: str) -> str:
        """Take one of some characters. :raises DataError: another stands there."""
        found = self.symbol()
        if not found or found not in symbols:
            raise self.broken(f"expected {' or '.join(symbols)}, found {found!r}" if found else "it breaks off")
        return found

    def value(self) -> tuple[int, Any]:
        """Take one value with the line that it begins at. :raises DataError: it is none."""
        self.peek()
        line, size = self._line, _BLOCK
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self._text, self._place)
                # A number at the end of what was read may go on: "1" as "1.5", "1." or "1e3".
                if self._text[end : end + 1] in _AFTER or self._ended:
                    break
            except (ValueError, RecursionError) as error:
                if self._ended or isinstance(error, RecursionError):
                    raise self.broken(getattr(error, "msg", "nested too deeply")) from error
            self._more(size)
            size *= 2
        self._line += self._text.count("\n", self._place, end)
        self._place = end
        return line, value

    def broken(self, what: str) -> DataError:
        """Say where it is not JSON."""
        return DataError(f"{self._path}:{self._line}: not JSON: {what}")

    def _more(self, size: int) -> bool:
        added = self._file.read(size)
        self._ended = not added
        self._text, self._place = self._text[self._place :] + added, 0
        return bool(added)
