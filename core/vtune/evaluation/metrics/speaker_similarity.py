"""Whether it is the same person: likeness of speaker embeddings to recordings that were not trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vtune.audio.speaker_embedding import LEAST_SECONDS, SpeakerEncoder, centre_of
from vtune.contract.metrics import RECORDING, MetricResult, MetricSpec, Ratio, TestSet, Utterance
from vtune.errors import VtuneError
from vtune.recipe import Recipe
from vtune.types import Clip

SHORTEST = 1.0
"""Seconds of a take that is judged at all; a shorter one says nothing about who speaks."""

STRANGERS = "strangers"
"""What clips of other people reach."""

SAME = 0.718
"""Likeness at which Resemblyzer errs as often to either side, over LibriSpeech's test-other (0.44 %)."""


class Likeness:
    """Cosine to the centre of the held-out recordings, in [-1, 1].

    A recording is compared with the centre of the others: what the same person reaches. Clips of other people, where
    the material has some, show how near a stranger comes.

    :raises VtuneError: the extra is not installed, or there are too few recordings of some length.
    """

    figures = (
        MetricSpec("likeness", "likeness to the recordings", "high", headline=True),
        MetricSpec("same", "sentences taken for the same person", "high", "%"),
    )

    def __init__(self, material: TestSet, recipe: Recipe) -> None:
        long = [clip for clip in material.clips if clip.seconds >= LEAST_SECONDS]
        if len(long) < 2:
            raise VtuneError(f"it needs two held-out recordings of {LEAST_SECONDS:g} s or more, and has {len(long)}")
        self._encoder = SpeakerEncoder()
        self._own = np.stack([self._embed(clip) for clip in long])
        self._places = {clip.text: place for place, clip in enumerate(long)}
        self._centre = centre_of(self._own)
        self._others = [clip for clip in material.others if clip.seconds >= SHORTEST]

    def judge(self, takes: Sequence[Utterance]) -> MetricResult:
        """Compare each take with the centre."""
        found = [self._one(take) for take in takes]
        same = [None if one is None else Ratio(float(one.numerator >= SAME)) for one in found]
        near = [float(self._embed(clip) @ self._centre) for clip in self._others]
        anchors = {"likeness": {STRANGERS: float(np.mean(near))}} if near else {}
        return MetricResult({"likeness": found, "same": same}, anchors=anchors)

    def _one(self, take: Utterance) -> Ratio | None:
        if take.system == RECORDING:
            if take.text not in self._places:
                return None
            place = self._places[take.text]
            return Ratio(float(self._own[place] @ centre_of(np.delete(self._own, place, axis=0))))
        if take.seconds < SHORTEST or not np.any(take.waveform):
            return None
        return Ratio(float(self._embed(take) @ self._centre))

    def _embed(self, sound: Clip | Utterance) -> np.ndarray:
        return self._encoder.embed(sound.waveform, sound.sample_rate)
