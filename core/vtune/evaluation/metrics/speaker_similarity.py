"""Measure whether the same person speaks: similarity of speaker embeddings to recordings that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from vtune.audio.speaker_embedding import MIN_EMBEDDING_SECONDS, SpeakerEncoder, centre_of
from vtune.contract.metrics import RECORDING, MetricResult, MetricSpec, Ratio, TestSet, Utterance
from vtune.errors import VtuneError
from vtune.evaluation.metric_group import MetricGroup
from vtune.recipe import Recipe
from vtune.types import Clip

MIN_UTTERANCE_SECONDS = 1.0
"""Length from which an utterance is measured; a shorter one says nothing about who speaks."""

IMPOSTORS = "impostors"
"""Name of what clips of other people reach."""

SAME_SPEAKER_SIMILARITY = 0.718
"""Similarity at which Resemblyzer errs as often to either side, over LibriSpeech's test-other (0.44 %)."""


class SpeakerSimilarity:
    """Cosine between an utterance and the centre of the held-out recordings, in [-1, 1].

    A recording is compared with the centre of the other recordings: what the same person reaches. Clips of other
    people, where the test set has some, show how similar a stranger's voice is.

    :raises VtuneError: there are too few recordings of some length.
    """

    specs: ClassVar = (
        MetricSpec(
            "speaker_similarity", "similarity to the speaker's recordings", "high", headline=True, scale=(0.0, 1.0)
        ),
        MetricSpec("same_speaker", "sentences taken for the same speaker", "high", "%"),
    )

    def __init__(self, test_set: TestSet, recipe: Recipe) -> None:
        clips = [clip for clip in test_set.clips if clip.seconds >= MIN_EMBEDDING_SECONDS]
        if len(clips) < 2:
            remedy = "raise evaluate.clips" if recipe.evaluate.clips < 2 else "name longer ones under evaluate.source"
            raise VtuneError(
                f"the metric needs two held-out recordings of at least {MIN_EMBEDDING_SECONDS:g} s "
                f"and has {len(clips)}; {remedy}"
            )
        self._encoder = SpeakerEncoder()
        self._embeddings = np.stack([self._embed(clip) for clip in clips])
        self._rows = {clip.text: row for row, clip in enumerate(clips)}
        self._centre = centre_of(self._embeddings)
        self._impostors = [clip for clip in test_set.impostors if clip.seconds >= MIN_UTTERANCE_SECONDS]

    def measure(self, utterances: Sequence[Utterance]) -> MetricResult:
        """Compare each utterance with the centre of the recordings."""
        similarities = [self._similarity(utterance) for utterance in utterances]
        same = [
            None if ratio is None else Ratio(float(ratio.numerator >= SAME_SPEAKER_SIMILARITY))
            for ratio in similarities
        ]
        impostors = [float(self._embed(clip) @ self._centre) for clip in self._impostors]
        anchors = {"speaker_similarity": {IMPOSTORS: float(np.mean(impostors))}} if impostors else {}
        return MetricResult({"speaker_similarity": similarities, "same_speaker": same}, anchors=anchors)

    def _similarity(self, utterance: Utterance) -> Ratio | None:
        if utterance.system == RECORDING:
            if utterance.text not in self._rows:
                return None
            row = self._rows[utterance.text]
            return Ratio(float(self._embeddings[row] @ centre_of(np.delete(self._embeddings, row, axis=0))))
        if utterance.seconds < MIN_UTTERANCE_SECONDS or not np.any(utterance.waveform):
            return None
        return Ratio(float(self._embed(utterance) @ self._centre))

    def _embed(self, sound: Clip | Utterance) -> np.ndarray:
        return self._encoder.embed(sound.waveform, sound.sample_rate)


METRICS = MetricGroup("speaker", SpeakerSimilarity, position=20)
