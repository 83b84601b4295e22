"""The interface of a recogniser, and the transcript that it returns."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vtune.types import Waveform

RECOGNISER_SAMPLE_RATE = 16_000
"""Samples per second of the sound that recognisers take."""

MAX_CHUNK_SECONDS = 28.0
"""Seconds of the longest sound that a recogniser gets; Whisper's window has 30."""

LANGUAGES_WITHOUT_SPACES = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km", "bo"})
"""Languages without spaces between words."""


MAX_COMPRESSION_RATIO = 2.4
"""Compression ratio above which a text is a loop (Whisper's own threshold)."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The transcript of one sound; a value is None if the recogniser does not provide it.

    :param language: code of the language that was detected in the sound, whatever the language of the text is.
    :param language_probability: probability of the detected language, in [0, 1].
    :param logprob: mean natural logarithm of the token probabilities, at most 0.
    :param no_speech: probability that nobody speaks, in [0, 1].
    :param numerals: the numerals that the recogniser wrote first, and that ``text`` has in words: ``("20th", "$5")``.
    """

    text: str
    language: str | None = None
    language_probability: float | None = None
    logprob: float | None = None
    no_speech: float | None = None
    numerals: tuple[str, ...] = ()

    @property
    def compression_ratio(self) -> float:
        """Ratio by which zlib compresses the text: below 2.4 for speech, above for loops (Whisper's measure)."""
        return compression_ratio(self.text)


class Recogniser(Protocol):
    """Transcribes sounds.

    ``batch`` is the number of sounds that ``transcribe`` processes efficiently in one call.
    """

    batch: int

    def transcribe(self, sounds: Sequence[Waveform]) -> list[Transcript]:
        """Transcribe sounds: mono at 16 kHz, ``float32 [samples]``, at most ``MAX_CHUNK_SECONDS`` each."""
        ...


def compression_ratio(text: str) -> float:
    """Return the ratio by which zlib compresses a text; 0 for an empty text."""
    data = text.encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data)) if data else 0.0


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
