"""Replace text without a letter or a digit, such as ``* * *`` or an emoji, by a pause, because it cannot be spoken."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from vtune.types import Audio, Ending

PAUSE_SECONDS = 1.0
"""Seconds of silence in the place of text that cannot be spoken."""
SEED_STEP = 15_485_863
"""Difference between the seeds of two parts of a text: a prime that no engine uses between the seeds of sentences."""


def is_speakable(text: str) -> bool:
    """Tell whether a text has a letter or a digit of any script (Unicode categories L and N)."""
    return any(unicodedata.category(char)[0] in "LN" for char in text)


def speakable_parts(text: str) -> list[str]:
    r"""Split a text at lines that cannot be spoken: ``"One.\n* * *\nTwo."`` gives ``["One.", "Two."]``.

    Empty lines do not split. A text without such a line is returned unchanged, as one part.
    """
    parts = [""]
    for line in text.splitlines(keepends=True):
        if is_speakable(line) or not line.strip():
            parts[-1] += line
        elif parts[-1]:
            parts.append("")
    speakable = [part for part in parts if is_speakable(part)]
    return [part.strip() for part in speakable] if len(parts) > 1 else speakable


def pause(sample_rate: int, ending: Ending | None = None) -> Audio:
    """Return the silence of one pause, float32 ``[samples]``."""
    return Audio(np.zeros(round(PAUSE_SECONDS * sample_rate), dtype=np.float32), sample_rate, ending)


def with_pauses(say: Callable[[str, int], Iterator[Audio]], text: str, seed: int, sample_rate: int) -> Iterator[Audio]:
    """Speak a text part by part, with a pause in the place of each line that cannot be spoken.

    :param say: speaks one part with a seed.
    :returns: the sound of ``say`` if the text is one part; a single pause if no part of the text can be spoken.
    """
    parts = speakable_parts(text)
    if parts == [text]:
        return say(text, seed)
    return _parts_with_pauses(say, parts, seed, sample_rate)


def _parts_with_pauses(
    say: Callable[[str, int], Iterator[Audio]], parts: Sequence[str], seed: int, sample_rate: int
) -> Iterator[Audio]:
    if not parts:
        yield pause(sample_rate, Ending.END_TOKEN)
    for number, part in enumerate(parts):
        if number:
            yield pause(sample_rate)
        yield from say(part, seed + SEED_STEP * number)
