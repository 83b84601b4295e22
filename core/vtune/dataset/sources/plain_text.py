"""Read text files of unknown origin: find their encoding, and open them so that reading never fails half-way."""

from __future__ import annotations

import codecs
import io
import re
from pathlib import Path
from typing import TextIO

from vtune.errors import DataError

_BLOCK = 1 << 16
# Control characters, halves of surrogate pairs, and what stands for bytes that could not be read.
_UNSPEAKABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")


def encoding_of(path: Path) -> str:
    """Return the encoding of a file: UTF-8, UTF-16 with a mark, or Windows-1252, which older spreadsheets write.

    :raises DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                return "utf-16"
            file.seek(0)
            try:
                decoder = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
                while decoder.read(_BLOCK):
                    pass
                return "utf-8-sig"
            except UnicodeDecodeError:
                return "utf-8-sig" if _mostly_utf8(path) else "cp1252"
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def open_text(path: Path, encoding: str, newline: str | None = None) -> TextIO:
    """Open a text file for reading; invalid bytes become U+FFFD, which ``unfit_words`` finds.

    :raises DataError: the file cannot be opened.
    """
    try:
        return path.open(encoding=encoding, errors="replace", newline=newline)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def unfit_words(words: str) -> str | None:
    """Return why words cannot be spoken, or None; white space has to be single blanks."""
    if not words:
        return "no words"
    if (found := _UNSPEAKABLE.search(words)) is None:
        return None
    if found[0] == "\ufffd":
        return "the words hold U+FFFD, which stands for a lost character; save the text as UTF-8 with the right one"
    return f"the words hold U+{ord(found[0]):04X}, which cannot be spoken; take it out"


def _mostly_utf8(path: Path) -> bool:
    """Tell whether a file with invalid UTF-8 is mostly UTF-8: then one bad byte must not change the other rows."""
    good = bad = 0
    with open_text(path, "utf-8") as file:
        while text := file.read(_BLOCK):
            lost = text.count("\ufffd")
            bad += lost
            good += len(text) - len(text.encode("ascii", "ignore")) - lost
    return good > bad
