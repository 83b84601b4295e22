"""Join the transcripts of the parts of a long recording."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vtune.contract.recognisers import Transcript

LANGUAGES_WITHOUT_SPACES = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km", "bo"})
"""Languages without spaces between words."""

MAX_COMPRESSION_RATIO = 2.4
"""Compression ratio above which a text is a loop (Whisper's own threshold)."""


def join_transcripts(parts: Sequence[Transcript]) -> Transcript:
    """Join the transcripts of the parts of a long recording.

    Each part's ``logprob`` is weighted by the length of its text, and the most probable language is taken.
    """
    if len(parts) == 1:
        return parts[0]
    most_probable = max(parts, key=lambda part: part.language_probability or 0.0)
    space = "" if most_probable.language in LANGUAGES_WITHOUT_SPACES else " "
    weighted = [(len(part.text), part.logprob) for part in parts if part.logprob is not None]
    total = sum(weight for weight, _ in weighted)
    no_speech = [part.no_speech for part in parts if part.no_speech is not None]
    return Transcript(
        space.join(part.text for part in parts if part.text),
        most_probable.language,
        most_probable.language_probability,
        math.fsum(weight * value for weight, value in weighted) / total if total else None,
        min(no_speech) if no_speech else None,
        tuple(numeral for part in parts for numeral in part.numerals),
    )
