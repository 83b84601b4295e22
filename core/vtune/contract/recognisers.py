"""Interfaces of speech recognisers, and the transcript that they return."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass

from vtune.recipe.data_sections import TranscribeRecipe
from vtune.types import Waveform

RECOGNISER_SAMPLE_RATE = 16_000
"""Samples per second of the sound that recognisers take."""

MAX_CHUNK_SECONDS = 28.0
"""Seconds of the longest sound that a recogniser gets; Whisper's window has 30."""


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


@checked_dataclass(frozen=True, slots=True, config=ConfigDict(strict=True, arbitrary_types_allowed=True))
class RecogniserBackend:
    """A speech recogniser that a recipe can choose with ``transcribe.backend``.

    :param name: what users write: small letters, digits and ``-``.
    :param description: a few words for help texts and docs.
    :param open: called with the recipe's ``transcribe`` section and the ``torch.device`` that it names; returns a
        ``Recogniser``. Import slow modules inside it. ``settings.language`` may be ``"auto"``. Raises ``VtuneError``
        if the model does not exist, does not support the language, or a package is missing.
    :param version: transcripts are kept with it; change it whenever the same settings give other words.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    description: str
    open: Callable[[TranscribeRecipe, Any], Recogniser]
    version: str = "1"


def compression_ratio(text: str) -> float:
    """Return the ratio by which zlib compresses a text; 0 for an empty text."""
    data = text.encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data)) if data else 0.0
