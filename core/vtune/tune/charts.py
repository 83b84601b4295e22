"""Draw small charts in SVG: bars, and dots over two axes; the colours are the page's own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vtune.webpage import safe

WIDTH, HEIGHT = 480, 230
LEFT, RIGHT, TOP, BOTTOM = 62, 468, 14, 200
"""Pixels: size of a chart, and the four sides of the area inside its labels."""


@dataclass(frozen=True, slots=True)
class Dot:
    """One trial in a chart.

    :param kind: a class of the page's style.
    :param title: text that is shown while the mouse is over the dot.
    """

    x: float
    y: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps numbers to coordinates along one side of a chart, in pixels.

    :param log: the axis is logarithmic.
    :param is_integer: the axis has whole numbers only.
    :param names: names of the ticks at 0, 1, 2 ... of an axis without numbers.
    :param unit: ``%`` shows a fraction of 1 as a percentage.
    """

    low: float
    high: float
    log: bool = False
    is_integer: bool = False
    names: Sequence[str] = ()
    unit: str = ""

    @classmethod
    def over(cls, numbers: Sequence[float], *, is_integer: bool = False, unit: str = "") -> Axis:
        """Return an axis that holds all numbers, with some space at both ends."""
        low, high = min(numbers), max(numbers)
        room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
        return cls(low - room, high + room, is_integer=is_integer, unit=unit)

    @classmethod
    def of_names(cls, names: Sequence[str]) -> Axis:
        """Return an axis with a tick for each name; names have no order."""
        return cls(-0.5, len(names) - 0.5, names=names)

    def coordinate(self, number: float, first: float, last: float) -> float:
        """Return the coordinate of a number between those of the two ends of the axis, in pixels."""
        low, high, value = (math.log(end) if self.log else end for end in (self.low, self.high, number))
        return round(first + (last - first) * (value - low) / (high - low), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Return a few round numbers with their labels."""
        if self.names:
            return [(float(index), _shortened(name)) for index, name in enumerate(self.names)]
        scale = 100 if self.unit == "%" else 1
        return [(number, f"{scale * number:.6g}{' %' if scale > 1 else ''}") for number in self._round_numbers()]

    def _round_numbers(self) -> list[float]:
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            digits = (1,) if last - first > 3 else (1, 2, 5) if last - first < 2 else (1, 3)
            every = (digit * 10.0**power for power in range(first, last + 1) for digit in digits)
        else:
            raw = max((self.high - self.low) / 5, float(self.is_integer))
            unit = 10.0 ** math.floor(math.log10(raw))
            step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw * 0.999)
            first = math.ceil(self.low / step)
            every = (step * index for index in range(first, first + 8))
        return [number for number in every if self.low <= number <= self.high]


def bars(shares: Mapping[str, float], title: str) -> str:
    """Return a chart with one bar for each name, labelled with its share as a percentage."""
    row, first = 30, 150
    largest = max(shares.values())
    parts = []
    for index, (name, share) in enumerate(shares.items()):
        y = TOP + index * row
        width = round((RIGHT - 56 - first) * share / largest, 1)
        parts.append(
            f'<text x="{first - 10}" y="{y + 15}" text-anchor=end>{safe(_shortened(name, 20))}</text>'
            f'<rect x="{first}" y="{y}" width="{max(width, 1)}" height="20" rx="3" />'
            f'<text x="{first + width + 8}" y="{y + 15}">{share:.0%}</text>'
        )
    return _picture(title, parts, TOP + len(shares) * row)


def dots(x: Axis, y: Axis, marks: Sequence[Dot], title: str, line: Sequence[tuple[float, float]] = ()) -> str:
    """Return a chart of dots over two axes.

    :param line: points of a line with steps: the best number so far.
    """
    parts = [*_frame(x, y)]
    if line:
        steps = [(x.coordinate(across, LEFT, RIGHT), y.coordinate(up, BOTTOM, TOP)) for across, up in line]
        path = f"M{steps[0][0]},{steps[0][1]}" + "".join(f"H{across}V{up}" for across, up in steps[1:])
        parts.append(f'<path d="{path}" class=best />')
    for dot in marks:
        across, up = x.coordinate(dot.x, LEFT, RIGHT), y.coordinate(dot.y, BOTTOM, TOP)
        tooltip = f"<title>{safe(dot.title)}</title>"
        parts.append(f'<circle cx="{across}" cy="{up}" r="5" class="{dot.kind}">{tooltip}</circle>')
    return _picture(title, parts, HEIGHT)


def _frame(x: Axis, y: Axis) -> Iterator[str]:
    for number, label in y.ticks():
        at = y.coordinate(number, BOTTOM, TOP)
        yield f'<path d="M{LEFT},{at}H{RIGHT}" class=grid />'
        yield f'<text x="{LEFT - 8}" y="{at + 4}" text-anchor=end>{safe(label)}</text>'
    for number, label in x.ticks():
        at = x.coordinate(number, LEFT, RIGHT)
        yield f'<text x="{at}" y="{BOTTOM + 20}" text-anchor=middle>{safe(label)}</text>'
    yield f'<path d="M{LEFT},{BOTTOM}H{RIGHT}" class=base />'


def _picture(title: str, parts: Sequence[str], height: float) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role=img aria-label="{safe(title)}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(parts)}</svg>"
    )


def _shortened(name: str, max_length: int = 14) -> str:
    return name if len(name) <= max_length else f"{name[: max_length - 1]}…"
