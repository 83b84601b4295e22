"""How it is said: whether it ends by itself, how long it takes, its pauses and its level."""

from __future__ import annotations

from collections.abc import Sequence

from vtune.doctor import Measures, Speech, Whole, letters, measure
from vtune.evaluate.judges import Figure, Judged, Judgement, Share
from vtune.evaluate.material import Material
from vtune.evaluate.takes import RECORDING, Take
from vtune.recipe import Recipe
from vtune.types import Ending

OVERRUN = 2.0
"""Times the expected length from which a take has run away, whatever its ending says."""

CUT = -12.0
"""dB under the speech; a take whose last 32 ms are louder stops within a word."""


class Delivery:
    """Endings, lengths and levels; needs no model."""

    figures = (
        Figure("ended", "sentences that end by themselves", "high", "%", headline=True),
        Figure("length", "length against the recording", "one", headline=True),
        Figure("overrun", "sentences twice as long as they should be", "low", "%"),
        Figure("cut", "sentences that stop within a word", "low", "%"),
        Figure("pace", "pace", "neither", "letters/s"),
        Figure("pauses", "pauses within a sentence", "neither", "%"),
        Figure("lead", "silence before the first word", "neither", "s"),
        Figure("tail", "silence after the last word", "neither", "s"),
        Figure("level", "level of the speech", "neither", "dBFS"),
        Figure("clipped", "clipped samples", "low", "%"),
        Figure("reach", "highest frequency", "neither", "kHz"),
    )

    def __init__(self, material: Material, recipe: Recipe) -> None:
        self._recordings = material.recordings
        # What is to be expected of a text that nobody recorded.
        count = sum(letters(clip.text) for clip in material.clips)
        self._usual = sum(clip.seconds for clip in material.clips) / count if count else None

    def judge(self, takes: Sequence[Take]) -> Judgement:
        """Measure each take."""
        found = [self._one(take) for take in takes]
        return Judgement({figure.name: _column(found, figure.name) for figure in self.figures})

    def _one(self, take: Take) -> dict[str, Share | None]:
        figures: dict[str, Share | None] = dict(self._timing(take))
        if not len(take.waveform):
            return figures
        measures = measure(Whole(take.sample_rate, 1, take.waveform))
        figures["clipped"] = Share(measures.peaks.clipped)
        if measures.speech.seconds:
            figures |= _spoken(take, measures, measures.speech)
        return figures

    def _timing(self, take: Take) -> dict[str, Share]:
        figures = {}
        if take.ending is not None:
            figures["ended"] = Share(float(take.ending == Ending.END_TOKEN))
        expected = self._expected(take.text)
        if expected and take.system != RECORDING:
            figures["length"] = Share(take.seconds, expected)
            figures["overrun"] = Share(float(take.seconds > OVERRUN * expected))
        return figures

    def _expected(self, text: str) -> float | None:
        """Seconds of the recording of these words, else what the speaker usually takes for so many letters."""
        if text in self._recordings:
            return self._recordings[text].seconds
        return self._usual and self._usual * letters(text)


def _spoken(take: Take, measures: Measures, speech: Speech) -> dict[str, Share | None]:
    span = max(take.seconds - speech.lead - speech.tail, 1e-3)
    return {
        "cut": Share(float(speech.stop > CUT)),
        "pace": Share(letters(take.text), span),
        "pauses": Share(max(span - speech.seconds, 0.0), span),
        "lead": Share(speech.lead),
        "tail": Share(speech.tail),
        "level": Share(speech.level),
        "reach": Share(measures.bandwidth / 1000),
    }


def _column(found: Sequence[dict[str, Share | None]], name: str) -> Judged:
    return [one.get(name) for one in found]
