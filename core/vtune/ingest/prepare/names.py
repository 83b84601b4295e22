"""Names for clips: safe on every file system whatever the recording is called, and never two the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container

_LENGTH = 80
"""Bytes; with number and ending far under the 255 that file systems take."""


def safe_stem(name: str) -> str:
    """Return a recording's name without its ending as a name for files: letters, digits, ``-``, ``_`` and ``.``.

    It begins and ends with a letter or digit, so that it is no option, no hidden file and no way to another folder.
    """
    plain = unicodedata.normalize("NFC", name)
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in plain)
    plain = re.sub(r"_{2,}", "_", re.sub(r"\.{2,}", ".", plain)).strip("-_.")
    short = plain.encode("utf-8")[:_LENGTH].decode("utf-8", "ignore").rstrip("-_.")
    return short or "recording"


def free_stem(name: str, digest: str, taken: Container[str]) -> str:
    """Return a safe stem that is not taken; what tells namesakes apart is their content.

    :param digest: of the recording, hexadecimal.
    :param taken: stems in use, case-folded: some file systems do not tell A from a.
    """
    stem = safe_stem(name)
    tries = [stem, *(f"{stem}-{digest[:length]}" for length in range(6, len(digest)))]
    return next(one for one in tries if one.casefold() not in taken)


def clip_name(stem: str, index: int) -> str:
    """Return the name of a clip's file."""
    return f"{stem}_{index:03d}.wav"
