"""Compare two texts: edit distance, and the normalisation with which Whisper's error rates are measured."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from vtune.ingest.transcribe.join_transcripts import LANGUAGES_WITHOUT_SPACES


def edit_distance(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Return the Levenshtein distance: the least number of insertions, deletions and substitutions.

    Example: ``edit_distance("kitten", "sitting")`` is 3. Sequences of words work as well.

    Time: product of both lengths, one numpy row at a time. Memory: the shorter length.
    """
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    numbers: dict[Hashable, int] = {}
    codes = np.array([numbers.setdefault(item, len(numbers)) for item in shorter], dtype=np.int64)
    steps = np.arange(len(shorter) + 1, dtype=np.int64)
    row = steps.copy()
    for position, item in enumerate(longer, 1):
        above = np.minimum(row[1:] + 1, row[:-1] + (codes != numbers.get(item, -1)))
        # The cost of insertions from the left is a running minimum after subtracting the steps of each position.
        row = np.minimum.accumulate(np.concatenate([[position], above]) - steps) + steps
    return int(row[-1])


def normalise(text: str, language: str | None) -> str:
    """Return a text without case and punctuation; for English, numbers and spellings are unified as well.

    Example: ``normalise("Colour, please!", "en")`` is ``"color please"``.
    """
    return " ".join(_normaliser(language)(text).split())


@lru_cache(maxsize=8)
def _normaliser(language: str | None) -> Any:
    from whisper.normalizers import BasicTextNormalizer, EnglishTextNormalizer

    return (
        EnglishTextNormalizer()
        if language == "en"
        else BasicTextNormalizer(split_letters=language in LANGUAGES_WITHOUT_SPACES)
    )
