"""How far two texts are apart: word and character error rates after the normalisation that Whisper is measured with."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from vtune.ingest.transcribe.recogniser import UNPARTED


def distance(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Return the Levenshtein distance: insertions, deletions and substitutions.

    Time: lengths multiplied, a row of numpy at a time; memory: the shorter.
    """
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    numbers: dict[Hashable, int] = {}
    codes = np.array([numbers.setdefault(one, len(numbers)) for one in shorter], dtype=np.int64)
    steps = np.arange(len(shorter) + 1, dtype=np.int64)
    row = steps.copy()
    for place, one in enumerate(longer, 1):
        above = np.minimum(row[1:] + 1, row[:-1] + (codes != numbers.get(one, -1)))
        # What an insertion costs from the left is a running minimum, once each place's own steps are taken off.
        row = np.minimum.accumulate(np.concatenate([[place], above]) - steps) + steps
    return int(row[-1])


def plain(text: str, language: str | None) -> str:
    """Bring a text to what is compared: no case, no punctuation, and for English numbers and spellings made one."""
    return " ".join(_normaliser(language)(text).split())


@lru_cache(maxsize=8)
def _normaliser(language: str | None) -> Any:
    from whisper.normalizers import BasicTextNormalizer, EnglishTextNormalizer

    return EnglishTextNormalizer() if language == "en" else BasicTextNormalizer(split_letters=language in UNPARTED)
