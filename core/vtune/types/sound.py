"""A clip of a recording, and the audio that an engine speaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]
"""Mono sound, ``[samples]``, in [-1, 1]."""

Watermark = Callable[[Waveform], Waveform]
"""Takes the pieces of one sound in order, and returns each piece with an inaudible mark."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recorded utterance of one voice, with its text."""

    id: str
    voice: str
    text: str
    waveform: Waveform
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Length of the sound in seconds."""
        return len(self.waveform) / self.sample_rate


class Ending(StrEnum):
    """Why an utterance stopped.

    - ``END_TOKEN``: the network itself decided that the text is spoken. Only then does it say something that the
      network stopped by itself: the metric ``stop_rate`` is the share of these endings.
    - ``PLANNED``: the length was known before the sound was computed, as with predicted durations. ``stop_rate`` leaves
      these utterances out, because they cannot fail to stop.
    - ``LIMIT``: the engine's limit of tokens or seconds cut the utterance off.
    - ``RUNAWAY``: the engine noticed that the network repeats itself or speaks nonsense, and broke off.
    """

    END_TOKEN = "end token"
    PLANNED = "planned"
    LIMIT = "limit"
    RUNAWAY = "runaway"

    @property
    def is_good(self) -> bool:
        """Whether the utterance came to its own end, instead of being cut off."""
        return self in (Ending.END_TOKEN, Ending.PLANNED)


@dataclass(frozen=True, slots=True)
class WordTime:
    """The time of one spoken word, in seconds from the start of its piece of sound."""

    word: str
    start: float
    end: float

    def later(self, seconds: float) -> WordTime:
        """Return the time of the word in a sound that begins so many seconds before its piece."""
        return WordTime(self.word, self.start + seconds, self.end + seconds)


@dataclass(frozen=True, slots=True)
class Audio:
    """A piece of synthesised sound; pieces of a stream join without gaps.

    :param waveform: float32 ``[samples]``, mono, in [-1, 1]; it may be empty.
    :param sample_rate: in Hz.
    :param ending: set on the last piece of each utterance (a long text holds several), else None.
    :param words: the times of the words that begin in this piece, in order, from an engine that knows them.
    """

    waveform: Waveform
    sample_rate: int
    ending: Ending | None = None
    words: tuple[WordTime, ...] = ()

    @property
    def seconds(self) -> float:
        """Length of the sound in seconds."""
        return len(self.waveform) / self.sample_rate


def join_audio(pieces: Sequence[Audio]) -> Audio:
    """Join the pieces of one sound; the worst ending of its utterances is the ending of the whole.

    :param pieces: at least one piece, all with one sample rate.
    """
    endings = [piece.ending for piece in pieces if piece.ending is not None]
    # An utterance in the middle that ran away is no better than a last one.
    ending = next((ending for ending in endings if not ending.is_good), endings[-1] if endings else None)
    words: list[WordTime] = []
    seconds = 0.0
    for piece in pieces:
        words += [time.later(seconds) for time in piece.words]
        seconds += piece.seconds
    waveform = np.concatenate([piece.waveform for piece in pieces])
    return Audio(waveform, pieces[0].sample_rate, ending, tuple(words))
