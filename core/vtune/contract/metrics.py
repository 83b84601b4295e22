"""What speech is measured by. A metric that cannot be measured here says why, and the others are measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

from vtune.recipe import Recipe
from vtune.types import Clip, Ending, Waveform

Better = Literal["high", "low", "one", "neither"]
"""Where a perfect voice lies: as high or as low as possible, at 1, or nowhere (the metric only describes)."""


VOICE, BASE, RECORDING = "voice", "base", "recording"
"""Systems of every evaluation: the tuned voice, the engine without the training, and the person's recordings."""


@dataclass(frozen=True, slots=True)
class TestSet:
    """Held-out words and sound of one voice.

    :param texts: sentences that are spoken, each once.
    :param clips: recordings of the voice that nothing was trained on; perhaps of other words than ``texts``.
    :param train_texts: sentences that the voice was trained on, where they are known.
    :param impostors: recordings of other people, where there are some: how similar is a stranger's voice?
    :param language: of the words, as Whisper names it; None where the recipe does not say.
    """

    texts: Sequence[str]
    clips: Sequence[Clip]
    train_texts: Sequence[str] = ()
    impostors: Sequence[Clip] = ()
    language: str | None = "en"
    __test__: ClassVar[bool] = False  # pytest takes every class called Test... for tests
    recordings: Mapping[str, Clip] = field(init=False)
    """The clip of each text that has one."""

    def __post_init__(self) -> None:
        # One clip for each text: utterances are told apart by their text.
        clips = {clip.text: clip for clip in reversed(self.clips)}
        object.__setattr__(self, "clips", [clip for clip in self.clips if clips[clip.text] is clip])
        object.__setattr__(self, "recordings", {text: clips[text] for text in self.texts if text in clips})


@dataclass(frozen=True, slots=True)
class Utterance:
    """One text spoken once by one system; a recording is an utterance of the system ``recording``.

    :param ending: how the worst piece of the utterance stopped; None where nothing says so, as in a recording.
    :param took: seconds of work; ``first``: seconds until there was sound. None for a recording, and for what was
        spoken in one batch with other texts.
    """

    text: str
    seed: int
    system: str
    waveform: Waveform
    sample_rate: int
    ending: Ending | None = None
    took: float | None = None
    first: float | None = None

    @property
    def seconds(self) -> float:
        """Length of the sound in seconds."""
        return len(self.waveform) / self.sample_rate


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """What one number of a metric means.

    :param name: key in ``scores.json``, in logs and in the recipe; the field's own name, such as ``wer``.
    :param title: the same in plain words, such as ``wrong words (WER)``.
    :param better: which numbers are better.
    :param unit: stands behind the number; ``%`` shows a ratio as a percentage.
    :param headline: whether the metric belongs into a short table, as the card has it.
    :param scale: the worst and the best number, such as ``(1, 5)`` for a MOS. A metric with a scale can be multiplied
        with other metrics to choose a checkpoint, see ``goodness``; a metric without one can choose only by itself.
        Default: a percentage goes from 0 to 1 or back, and what is best at 1 is worst at 0 and at 2.
    """

    name: str
    title: str
    better: Better
    unit: str = ""
    headline: bool = False
    scale: tuple[float, float] | None = None

    def shown(self, number: float | None) -> str:
        """Return a number as people read it."""
        if number is None:
            return "-"
        return f"{100 * number:.1f} %" if self.unit == "%" else f"{number:.2f}{self.unit and ' ' + self.unit}"

    def shown_interval(self, interval: tuple[float, float] | None) -> str:
        """Return an interval of differences as people read it; empty where there is none."""
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
        """How ``goodness`` is computed, as a factor of a product: ``(1 - wer)``."""
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
        """Which numbers are better, in words."""
        return {
            "high": "higher is better",
            "low": "lower is better",
            "one": "1 is best",
            "neither": "neither is better",
        }[self.better]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A number as ``numerator / denominator``, so that a mean over utterances weighs it: wrong words / words."""

    numerator: float
    denominator: float = 1.0


MetricValues = list[Ratio | None]
"""One number for each utterance; None where the metric cannot be measured, as on an utterance that is too short."""


@dataclass(frozen=True, slots=True)
class MetricResult:
    """What was measured.

    :param values: by the name of the metric, one number for each utterance.
    :param notes: by name, one line of text for each utterance: what was heard.
    :param anchors: by the name of the metric, what others reach who did not speak here:
        ``{"speaker_similarity": {"impostors": 0.55}}``.
    """

    values: Mapping[str, MetricValues]
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    anchors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class Metric(Protocol):
    """Measures utterances; recordings are among them and show which numbers can be reached.

    Several numbers that come from one measurement are one metric: the recogniser's words give ``wer`` and ``cer``.
    """

    @property
    def specs(self) -> Sequence[MetricSpec]:
        """What may be measured, in the order of the table."""
        ...

    def measure(self, utterances: Sequence[Utterance]) -> MetricResult:
        """Measure all utterances, in their order."""
        ...


MetricMaker = Callable[[TestSet, Recipe], Metric]
"""Makes a metric for a test set; a class of metrics is one. :raises VtuneError: it cannot be measured here, and why.

A maker that an extension adds has ``specs`` as well (a class attribute), so that names are known before it is made.
"""
