"""What a recogniser is, and what it says of a sound."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vtune.types import Waveform

RATE = 16_000
"""Hz that recognisers take."""

LONGEST = 28.0
"""Seconds of sound that a recogniser is given at once; Whisper's window is 30."""

UNPARTED = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km", "bo"})
"""Languages that put no blanks between words."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was heard in one sound; None is what the recogniser does not tell.

    :param language: code of the language that the sound is in, whatever language it was written down in.
    :param language_probability: of that language, in [0, 1].
    :param logprob: mean natural logarithm of the probabilities of what was written down, at most 0.
    :param no_speech: probability that nobody speaks, in [0, 1].
    """

    text: str
    language: str | None = None
    language_probability: float | None = None
    logprob: float | None = None
    no_speech: float | None = None

    @property
    def compression(self) -> float:
        """How many times smaller zlib makes the text: speech stays under 2.4, loops do not (Whisper's measure)."""
        return compression(self.text)


class Recogniser(Protocol):
    """Writes down what is said.

    ``batch`` is how many sounds it likes to be given at once.
    """

    batch: int

    def hear(self, sounds: Sequence[Waveform]) -> list[Transcript]:
        """Return what is said in each sound: mono at 16 kHz, ``float32 [samples]``, ``LONGEST`` seconds at most."""
        ...


def compression(text: str) -> float:
    """Return how many times smaller zlib makes a text."""
    data = text.encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data)) if data else 0.0


def joined(heard: Sequence[Transcript]) -> Transcript:
    """Make one of the parts of a long recording; each counts by its letters, and the surest language wins."""
    if len(heard) == 1:
        return heard[0]
    surest = max(heard, key=lambda part: part.language_probability or 0.0)
    blank = "" if surest.language in UNPARTED else " "
    weighed = [(len(part.text), part.logprob) for part in heard if part.logprob is not None]
    total = sum(weight for weight, _ in weighed)
    silent = [part.no_speech for part in heard if part.no_speech is not None]
    return Transcript(
        blank.join(part.text for part in heard if part.text),
        surest.language,
        surest.language_probability,
        math.fsum(weight * value for weight, value in weighed) / total if total else None,
        min(silent) if silent else None,
    )
