"""What takes are judged by. A judge that cannot be had says why, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

from vtune.recipe import Recipe
from vtune.types import Clip, Ending, Waveform

Better = Literal["high", "low", "one", "neither"]
"""Where a perfect voice lies: as high or low as can be, at 1, or nowhere (the figure describes)."""


VOICE, BASE, RECORDING = "voice", "base", "recording"
"""Systems that every evaluation knows: the tuned voice, the engine without it, and the person."""


@dataclass(frozen=True, slots=True)
class TestSet:
    """Held-out words and sound of one voice.

    :param texts: that are spoken, each once.
    :param clips: recordings of the voice that nothing was trained on; perhaps of other words.
    :param trained: words that it was trained on, where they are known.
    :param others: recordings of other people, where there are some: how near does a stranger come?
    :param language: of the words, as Whisper names it; None where nobody said.
    """

    texts: Sequence[str]
    clips: Sequence[Clip]
    trained: Sequence[str] = ()
    others: Sequence[Clip] = ()
    language: str | None = "en"
    __test__: ClassVar[bool] = False  # pytest takes every class called Test... for tests
    recordings: Mapping[str, Clip] = field(init=False)
    """The clip of each text that has one."""

    def __post_init__(self) -> None:
        # One of each words: takes are told apart by them.
        clips = {clip.text: clip for clip in reversed(self.clips)}
        object.__setattr__(self, "clips", [clip for clip in self.clips if clips[clip.text] is clip])
        object.__setattr__(self, "recordings", {text: clips[text] for text in self.texts if text in clips})


@dataclass(frozen=True, slots=True)
class Utterance:
    """One speaking of one text.

    :param ending: how the worst utterance stopped; None where nothing says so, as in a recording.
    :param took: seconds of work; ``first`` until there was sound. None for a recording, and for what was spoken
        together with others.
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
        """Length of the sound."""
        return len(self.waveform) / self.sample_rate


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """What one number of a judge means.

    :param name: key in ``scores.json``.
    :param title: for people.
    :param unit: behind the number; ``%`` shows a share of 1 as a percentage.
    :param headline: whether it belongs into a short table, as the card has it.
    """

    name: str
    title: str
    better: Better
    unit: str = ""
    headline: bool = False

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


@dataclass(frozen=True, slots=True)
class Ratio:
    """A number as ``numerator / denominator``, which a mean over utterances weighs: wrong words / words."""

    numerator: float
    denominator: float = 1.0


MetricValues = list[Ratio | None]
"""One number a take; None where the judge has no say, as on one that is too short."""


@dataclass(frozen=True, slots=True)
class MetricResult:
    """What a judge found.

    :param figures: name of each of the judge's figures, to one number a take.
    :param notes: by name, a line a take for people: what was heard.
    :param anchors: by figure, what others reach that no take is of: ``{"likeness": {"strangers": 0.55}}``.
    """

    figures: Mapping[str, MetricValues]
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    anchors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class Metric(Protocol):
    """Gives takes numbers; recordings are takes of the system ``recording`` and show what can be reached."""

    @property
    def figures(self) -> Sequence[MetricSpec]:
        """What it may find, in the order of the table."""
        ...

    def judge(self, takes: Sequence[Utterance]) -> MetricResult:
        """Judge all takes, in their order."""
        ...


MetricMaker = Callable[[TestSet, Recipe], Metric]
"""Makes a judge for what will be spoken. :raises VtuneError: it cannot be had here; the reason is shown."""
