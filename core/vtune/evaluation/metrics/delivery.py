"""Measure delivery: whether an utterance ends by itself, its length, its pauses and its level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from vtune.contract.metrics import RECORDING, MetricResult, MetricSpec, Ratio, TestSet, Utterance
from vtune.curation.doctor import Measures, MemoryRecording, SpeechLevels, count_letters, is_cut_off, measure
from vtune.evaluation.metric_group import MetricGroup
from vtune.recipe import Recipe
from vtune.types import Ending

RUNAWAY_RATIO = 2.0
"""Times the expected length from which an utterance has run away, whatever its ending says."""


class Delivery:
    """Endings, lengths and levels; needs no model."""

    specs: ClassVar = (
        MetricSpec("stop_rate", "sentences that end by themselves", "high", "%", headline=True),
        MetricSpec("duration_ratio", "length divided by the recording's", "one", headline=True),
        MetricSpec("runaway_rate", "sentences twice as long as they should be", "low", "%"),
        MetricSpec("cutoff_rate", "sentences that stop within a word", "low", "%"),
        MetricSpec("speaking_rate", "speaking rate", "neither", "letters/s"),
        MetricSpec("pause_ratio", "pauses within a sentence", "neither", "%"),
        MetricSpec("leading_silence_seconds", "silence before the first word", "neither", "s"),
        MetricSpec("trailing_silence_seconds", "silence after the last word", "neither", "s"),
        MetricSpec("speech_level_dbfs", "level of the speech", "neither", "dBFS"),
        MetricSpec("clipping_rate", "clipped samples", "low", "%"),
        MetricSpec("bandwidth_khz", "highest frequency", "neither", "kHz"),
    )

    def __init__(self, test_set: TestSet, recipe: Recipe) -> None:
        self._recordings = test_set.recordings
        # What is to be expected of a text that nobody recorded.
        count = sum(count_letters(clip.text) for clip in test_set.clips)
        self._seconds_per_letter = sum(clip.seconds for clip in test_set.clips) / count if count else None

    def measure(self, utterances: Sequence[Utterance]) -> MetricResult:
        """Measure endings, lengths and levels of each utterance."""
        rows = [self._row(utterance) for utterance in utterances]
        return MetricResult({spec.name: [row.get(spec.name) for row in rows] for spec in self.specs})

    def _row(self, utterance: Utterance) -> dict[str, Ratio]:
        row = self._timing(utterance)
        if not len(utterance.waveform):
            return row
        measures = measure(MemoryRecording(utterance.sample_rate, 1, utterance.waveform))
        row["clipping_rate"] = Ratio(measures.peaks.clipped)
        return row | (_speech(utterance, measures, measures.speech) if measures.speech.seconds else {})

    def _timing(self, utterance: Utterance) -> dict[str, Ratio]:
        row = {}
        if utterance.ending not in (None, Ending.PLANNED):  # what has a planned length cannot fail to stop
            row["stop_rate"] = Ratio(float(utterance.ending == Ending.END_TOKEN))
        expected = self._expected_seconds(utterance.text)
        if expected and utterance.system != RECORDING:
            row["duration_ratio"] = Ratio(utterance.seconds, expected)
            row["runaway_rate"] = Ratio(float(utterance.seconds > RUNAWAY_RATIO * expected))
        return row

    def _expected_seconds(self, text: str) -> float | None:
        """Return the length of the text's recording, else the speaker's usual time for so many letters."""
        if text in self._recordings:
            return self._recordings[text].seconds
        return self._seconds_per_letter and self._seconds_per_letter * count_letters(text)


METRICS = MetricGroup("delivery", Delivery, position=30)


def _speech(utterance: Utterance, measures: Measures, speech: SpeechLevels) -> dict[str, Ratio]:
    span = max(utterance.seconds - speech.lead - speech.tail, 1e-3)
    return {
        "cutoff_rate": Ratio(float(is_cut_off(measures.edges.stop, speech))),
        "speaking_rate": Ratio(count_letters(utterance.text), span),
        "pause_ratio": Ratio(max(span - speech.seconds, 0.0), span),
        "leading_silence_seconds": Ratio(speech.lead),
        "trailing_silence_seconds": Ratio(speech.tail),
        "speech_level_dbfs": Ratio(speech.level),
        "bandwidth_khz": Ratio(measures.bandwidth / 1000),
    }
