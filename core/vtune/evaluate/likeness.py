"""Whether it is the same person: likeness of speaker embeddings to recordings that were not trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vtune.errors import VtuneError
from vtune.evaluate.metrics import Judged, Share
from vtune.evaluate.takes import Take
from vtune.likeness import LEAST_SECONDS, SpeakerEncoder, centre_of
from vtune.types import Clip

SHORTEST = 1.0
"""Seconds of a take that is judged at all; a shorter one says nothing about who speaks."""


class Likeness:
    """Cosine to the centre of the held-out recordings, in [-1, 1].

    :raises VtuneError: the extra is not installed, or there are too few recordings of some length.
    """

    name, title, percent, best = "likeness", "likeness to the recordings", False, 1.0

    def __init__(self, clips: Sequence[Clip]) -> None:
        long = [clip for clip in clips if clip.seconds >= LEAST_SECONDS]
        if len(long) < 2:
            raise VtuneError(f"it needs two held-out recordings of {LEAST_SECONDS:g} s or more, and has {len(long)}")
        self._encoder = SpeakerEncoder()
        self._own = np.stack([self._encoder.embed(clip.waveform, clip.sample_rate) for clip in long])
        self._centre = centre_of(self._own)

    def judge(self, takes: Sequence[Take]) -> Judged:
        """Compare each take with the centre."""
        return [self._one(take) for take in takes]

    def recordings(self) -> Judged:
        """Compare each recording with the centre of the others: what the same person reaches."""
        others = (np.delete(self._own, place, axis=0) for place in range(len(self._own)))
        return [Share(float(own @ centre_of(rest))) for own, rest in zip(self._own, others, strict=True)]

    def _one(self, take: Take) -> Share | None:
        if take.seconds < SHORTEST or not np.any(take.waveform):
            return None
        return Share(float(self._encoder.embed(take.waveform, take.sample_rate) @ self._centre))
