"""Make names for clips that are unique and safe on every file system."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container

MAX_STEM_BYTES = 80
"""Bytes; with number and file extension, a name stays far below the limit of 255 bytes of file systems."""


def safe_stem(name: str) -> str:
    """Return a safe file name for a recording's stem: letters, digits, ``-``, ``_`` and ``.``.

    The name starts and ends with a letter or digit, so it is never an option, a hidden file or a path.
    Example: ``"../My talk (1)"`` becomes ``"My_talk_1"``.
    """
    plain = unicodedata.normalize("NFC", name)
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in plain)
    plain = re.sub(r"_{2,}", "_", re.sub(r"\.{2,}", ".", plain)).strip("-_.")
    short = plain.encode("utf-8")[:MAX_STEM_BYTES].decode("utf-8", "ignore").rstrip("-_.")
    return short or "recording"


def free_stem(name: str, digest: str, used_stems: Container[str]) -> str:
    """Return a safe stem that is not used yet; recordings with the same name get digits of their content's hash.

    :param digest: hash of the recording, hexadecimal.
    :param used_stems: stems in use, case-folded, because some file systems treat A and a as the same letter.
    """
    stem = safe_stem(name)
    candidates = [stem, *(f"{stem}-{digest[:length]}" for length in range(6, len(digest)))]
    return next(candidate for candidate in candidates if candidate.casefold() not in used_stems)


def clip_name(stem: str, index: int) -> str:
    """Return the file name of a clip, such as ``talk_007.wav``."""
    return f"{stem}_{index:03d}.wav"
