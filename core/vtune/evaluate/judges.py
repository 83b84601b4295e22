"""What takes are judged by. A judge that cannot be had says why, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from vtune.evaluate.material import Material
from vtune.evaluate.takes import Take
from vtune.recipe import Recipe

Better = Literal["high", "low", "one", "neither"]
"""Where a perfect voice lies: as high or low as can be, at 1, or nowhere (the figure describes)."""


@dataclass(frozen=True, slots=True)
class Figure:
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
class Share:
    """A number as ``part / whole``, so that a mean over takes can weigh them: wrong words over all words."""

    part: float
    whole: float = 1.0


Judged = list[Share | None]
"""One number a take; None where the judge has no say, as on one that is too short."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge found.

    :param figures: name of each of the judge's figures, to one number a take.
    :param notes: by name, a line a take for people: what was heard.
    :param anchors: by figure, what others reach that no take is of: ``{"likeness": {"strangers": 0.55}}``.
    """

    figures: Mapping[str, Judged]
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    anchors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class Judge(Protocol):
    """Gives takes numbers; recordings are takes of the system ``recording`` and show what can be reached."""

    @property
    def figures(self) -> Sequence[Figure]:
        """What it may find, in the order of the table."""
        ...

    def judge(self, takes: Sequence[Take]) -> Judgement:
        """Judge all takes, in their order."""
        ...


JudgeMaker = Callable[[Material, Recipe], Judge]
"""Makes a judge for what will be spoken. :raises VtuneError: it cannot be had here; the reason is shown."""
