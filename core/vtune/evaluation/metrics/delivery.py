"""How it is said: whether it ends by itself, how long it takes, its pauses and its level."""

from __future__ import annotations

from collections.abc import Sequence

from vtune.contract.metrics import RECORDING, MetricResult, MetricSpec, MetricValues, Ratio, TestSet, Utterance
from vtune.curation.doctor import Measures, Speech, Whole, letters, measure
from vtune.recipe import Recipe
from vtune.types import Ending

OVERRUN = 2.0
"""Times the expected length from which a take has run away, whatever its ending says."""

CUT = -12.0
"""dB under the speech; a take whose last 32 ms are louder stops within a word."""


class Delivery:
    """Endings, lengths and levels; needs no model."""

    figures = (
        MetricSpec("ended", "sentences that end by themselves", "high", "%", headline=True),
        MetricSpec("length", "length against the recording", "one", headline=True),
        MetricSpec("overrun", "sentences twice as long as they should be", "low", "%"),
        MetricSpec("cut", "sentences that stop within a word", "low", "%"),
        MetricSpec("pace", "pace", "neither", "letters/s"),
        MetricSpec("pauses", "pauses within a sentence", "neither", "%"),
        MetricSpec("lead", "silence before the first word", "neither", "s"),
        MetricSpec("tail", "silence after the last word", "neither", "s"),
        MetricSpec("level", "level of the speech", "neither", "dBFS"),
        MetricSpec("clipped", "clipped samples", "low", "%"),
        MetricSpec("reach", "highest frequency", "neither", "kHz"),
    )

    def __init__(self, material: TestSet, recipe: Recipe) -> None:
        self._recordings = material.recordings
        # What is to be expected of a text that nobody recorded.
        count = sum(letters(clip.text) for clip in material.clips)
        self._usual = sum(clip.seconds for clip in material.clips) / count if count else None

    def judge(self, takes: Sequence[Utterance]) -> MetricResult:
        """Measure each take."""
        found = [self._one(take) for take in takes]
        return MetricResult({figure.name: _column(found, figure.name) for figure in self.figures})

    def _one(self, take: Utterance) -> dict[str, Ratio | None]:
        figures: dict[str, Ratio | None] = dict(self._timing(take))
        if not len(take.waveform):
            return figures
        measures = measure(Whole(take.sample_rate, 1, take.waveform))
        figures["clipped"] = Ratio(measures.peaks.clipped)
        if measures.speech.seconds:
            figures |= _spoken(take, measures, measures.speech)
        return figures

    def _timing(self, take: Utterance) -> dict[str, Ratio]:
        figures = {}
        if take.ending is not None:
            figures["ended"] = Ratio(float(take.ending == Ending.END_TOKEN))
        expected = self._expected(take.text)
        if expected and take.system != RECORDING:
            figures["length"] = Ratio(take.seconds, expected)
            figures["overrun"] = Ratio(float(take.seconds > OVERRUN * expected))
        return figures

    def _expected(self, text: str) -> float | None:
        """Seconds of the recording of these words, else what the speaker usually takes for so many letters."""
        if text in self._recordings:
            return self._recordings[text].seconds
        return self._usual and self._usual * letters(text)


def _spoken(take: Utterance, measures: Measures, speech: Speech) -> dict[str, Ratio | None]:
    span = max(take.seconds - speech.lead - speech.tail, 1e-3)
    return {
        "cut": Ratio(float(speech.stop > CUT)),
        "pace": Ratio(letters(take.text), span),
        "pauses": Ratio(max(span - speech.seconds, 0.0), span),
        "lead": Ratio(speech.lead),
        "tail": Ratio(speech.tail),
        "level": Ratio(speech.level),
        "reach": Ratio(measures.bandwidth / 1000),
    }


def _column(found: Sequence[dict[str, Ratio | None]], name: str) -> MetricValues:
    return [one.get(name) for one in found]
