"""Interfaces of metrics and their results. If one metric cannot be measured, the others are measured all the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

from vtune.recipe import Recipe
from vtune.types import Clip, Ending, Waveform

Better = Literal["high", "low", "one", "neither"]
"""Which numbers are better: high ones, low ones, those near 1, or neither (the metric only describes)."""


VOICE, BASE, RECORDING = "voice", "base", "recording"
"""Systems of every evaluation: the trained voice, the engine without training, and the recordings of the person."""


@dataclass(frozen=True, slots=True)
class TestSet:
    """Held-out texts and recordings of one voice.

    :param texts: sentences that are spoken, once each.
    :param clips: recordings of the voice that were not trained on; they may have other words than ``texts``.
    :param train_texts: sentences that the voice was trained on, if they are known.
    :param impostors: recordings of other people, if there are any; they show how similar a stranger's voice is.
    :param language: language of the texts, as Whisper names it; None if the recipe does not name a language.
    """

    texts: Sequence[str]
    clips: Sequence[Clip]
    train_texts: Sequence[str] = ()
    impostors: Sequence[Clip] = ()
    language: str | None = "en"
    __test__: ClassVar[bool] = False  # pytest takes every class called Test... for tests
    recordings: Mapping[str, Clip] = field(init=False)
    """The recording of each text, for the texts that have one."""

    def __post_init__(self) -> None:
        # Only one clip for each text: utterances are told apart by their text.
        clips = {clip.text: clip for clip in reversed(self.clips)}
        object.__setattr__(self, "clips", [clip for clip in self.clips if clips[clip.text] is clip])
        object.__setattr__(self, "recordings", {text: clips[text] for text in self.texts if text in clips})


@dataclass(frozen=True, slots=True)
class Utterance:
    """One text spoken once by one system; a recording is an utterance of the system ``recording``.

    :param ending: how the worst piece of the utterance ended; None if this is unknown, as for a recording.
    :param took: seconds of computing; ``first``: seconds until the first sound. Both are None for a recording and for a
        text that was spoken in one batch with other texts.
    :param numbers: what the engine measured of its network on the text, see the hook ``measure_network``.
    """

    text: str
    seed: int
    system: str
    waveform: Waveform
    sample_rate: int
    ending: Ending | None = None
    took: float | None = None
    first: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Length of the sound in seconds."""
        return len(self.waveform) / self.sample_rate


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """Name, unit and direction of one number of a metric.

    :param name: key in ``scores.json``, in logs and in the recipe; the field's own name, such as ``wer``.
    :param title: the name in plain words, such as ``wrong words (WER)``.
    :param better: which numbers are better.
    :param unit: unit that is shown after the number; ``%`` shows a ratio as a percentage.
    :param headline: whether the metric belongs into a short table, such as that of the card.
    :param scale: the worst and the best number, such as ``(1, 5)`` for a MOS. A metric with a scale can be multiplied
        with other metrics to choose a checkpoint, see ``goodness``; a metric without one can choose only by itself.
        Default: 0 to 1 for a percentage; a metric that is best at 1 is worst at 0 and at 2.
    :param kept: the smallest share of the base's number that a voice should keep; a voice with less gets a warning.
    """

    name: str
    title: str
    better: Better
    unit: str = ""
    headline: bool = False
    scale: tuple[float, float] | None = None
    kept: float | None = None

    def shown(self, number: float | None) -> str:
        """Return a number as people read it."""
        if number is None:
            return "-"
        return f"{100 * number:.1f} %" if self.unit == "%" else f"{number:.2f}{self.unit and ' ' + self.unit}"

    def shown_interval(self, interval: tuple[float, float] | None) -> str:
        """Return an interval of differences as people read it; empty if there is no interval."""
        if interval is None:
            return ""
        scale = 100 if self.unit == "%" else 1
        return f"{scale * interval[0]:+.2f} to {scale * interval[1]:+.2f}{self.unit and ' ' + self.unit}"

    @property
    def worst_and_best(self) -> tuple[float, float] | None:
        """The numbers whose goodness is 0 and 1 (of a metric that is best at 1: their distances from 1)."""
        if self.better == "one":
            return 1.0, 0.0
        if self.scale is None and self.unit == "%":
            return {"high": (0.0, 1.0), "low": (1.0, 0.0)}.get(self.better)
        return self.scale

    def goodness(self, number: float) -> float:
        """Return how good a number is, from 0 (worst) to 1 (best).

        With a scale, goodness grows evenly from the worst to the best number: 0.25 of ``wer`` has a goodness of 0.75,
        4 of a MOS from 1 to 5 as well. Without one it only keeps the order of the numbers.
        """
        number = abs(number - 1) if self.better == "one" else number
        if self.worst_and_best is None:
            signed = -number if self.better == "low" else number
            return 0.5 + 0.5 * signed / (1 + abs(signed))
        worst, best = self.worst_and_best
        return min(max((number - worst) / (best - worst), 0.0), 1.0)

    @property
    def formula(self) -> str:
        """Formula of ``goodness``, as a factor of a product: ``(1 - wer)``."""
        if self.better == "one":
            return f"(1 - |{self.name} - 1|)"
        worst, best = self.worst_and_best or (0.0, 1.0)
        if (worst, best) == (0.0, 1.0):
            return self.name
        above = f"{self.name} - {worst:g}" if best > worst else f"{worst:g} - {self.name}"
        span = abs(best - worst)
        return f"({above})" if span == 1 else f"(({above}) / {span:g})"

    @property
    def direction(self) -> str:
        """Return in words which numbers are better: high numbers, low numbers, or those near 1."""
        return {
            "high": "higher is better",
            "low": "lower is better",
            "one": "1 is best",
            "neither": "neither is better",
        }[self.better]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A number as ``numerator / denominator``, such as wrong words / words; a mean of utterances adds up both parts."""

    numerator: float
    denominator: float = 1.0


MetricValues = list[Ratio | None]
"""One number for each utterance; None if the metric cannot be measured, as on an utterance that is too short."""


@dataclass(frozen=True, slots=True)
class MetricResult:
    """Numbers that a metric measured.

    :param values: for each metric by name, one number for each utterance.
    :param notes: for each note by name, one line of text for each utterance, such as the words that were recognised.
    :param anchors: for each metric by name, numbers of other speakers to compare with:
        ``{"speaker_similarity": {"impostors": 0.55}}``.
    """

    values: Mapping[str, MetricValues]
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    anchors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class Metric(Protocol):
    """Measures utterances. The recordings of the person are among them, and show which numbers are possible.

    Several numbers from one measurement are one metric: the words of the recogniser give ``wer`` and ``cer``.
    """

    @property
    def specs(self) -> Sequence[MetricSpec]:
        """The specs of all numbers that this metric may measure, in the order of the table."""
        ...

    def measure(self, utterances: Sequence[Utterance]) -> MetricResult:
        """Measure all utterances, and return the numbers in the order of the utterances."""
        ...


MetricMaker = Callable[[TestSet, Recipe], Metric]
"""Makes a metric for a test set, usually a class. :raises VtuneError: the reason why it cannot be measured.

A maker of an extension also has the class attribute ``specs``, so that the names are known before the metric is made.
"""
