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
    """Why an utterance stopped."""

    END_TOKEN = "end token"
    LIMIT = "limit"
    RUNAWAY = "runaway"


@dataclass(frozen=True, slots=True)
class Audio:
    """A piece of synthesised sound; pieces of a stream join without gaps.

    ``ending`` is set on the last piece of each utterance (a long text holds several), else None.
    """

    waveform: Waveform
    sample_rate: int
    ending: Ending | None = None


def join_audio(pieces: Sequence[Audio]) -> Audio:
    """Join the pieces of one sound; the worst ending of its utterances is the ending of the whole.

    :param pieces: at least one piece, all with one sample rate.
    """
    endings = [piece.ending for piece in pieces if piece.ending is not None]
    # An utterance in the middle that ran away is no better than a last one.
    ending = next((ending for ending in endings if ending != Ending.END_TOKEN), endings[-1] if endings else None)
    return Audio(np.concatenate([piece.waveform for piece in pieces]), pieces[0].sample_rate, ending)
