"""Small pictures in SVG: bars, a history, and one key against the metric; colours are the page's own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vtune.webpage import safe

WIDTH, HEIGHT = 480, 230
LEFT, RIGHT, TOP, BOTTOM = 62, 468, 14, 200


@dataclass(frozen=True, slots=True)
class Dot:
    """One trial in a picture.

    :param kind: a class of the page's style.
    :param title: is shown while the mouse rests on it.
    """

    x: float
    y: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Axis:
    """Numbers to places along one side of a picture.

    :param whole: has whole numbers only; ``log``: is laid out by logarithms.
    :param names: of the ticks at 0, 1, 2 ..., where they are no numbers.
    :param unit: ``%`` shows a share of 1 as a percentage.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False
    names: Sequence[str] = ()
    unit: str = ""

    @classmethod
    def over(cls, numbers: Sequence[float], *, whole: bool = False, unit: str = "") -> Axis:
        """Return an axis that holds all numbers, with a little room."""
        low, high = min(numbers), max(numbers)
        room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
        return cls(low - room, high + room, whole=whole, unit=unit)

    @classmethod
    def of_names(cls, names: Sequence[str]) -> Axis:
        """Return an axis of things without an order."""
        return cls(-0.5, len(names) - 0.5, names=names)

    def place(self, number: float, first: float, last: float) -> float:
        """Return where a number lies between two ends of the picture."""
        low, high, at = (math.log(one) if self.log else one for one in (self.low, self.high, number))
        return round(first + (last - first) * (at - low) / (high - low), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Return a few round numbers and how they are written."""
        if self.names:
            return [(float(place), _shortened(name)) for place, name in enumerate(self.names)]
        scale = 100 if self.unit == "%" else 1
        return [(number, f"{scale * number:.6g}{' %' if scale > 1 else ''}") for number in self._round_numbers()]

    def _round_numbers(self) -> list[float]:
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            digits = (1,) if last - first > 3 else (1, 2, 5) if last - first < 2 else (1, 3)
            every = (digit * 10.0**power for power in range(first, last + 1) for digit in digits)
        else:
            raw = max((self.high - self.low) / 5, float(self.whole))
            unit = 10.0 ** math.floor(math.log10(raw))
            step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw * 0.999)
            first = math.ceil(self.low / step)
            every = (step * place for place in range(first, first + 8))
        return [number for number in every if self.low <= number <= self.high]


def bars(shares: Mapping[str, float], title: str) -> str:
    """Return one bar a name, each with its share of 1."""
    row, first = 30, 150
    largest = max(shares.values())
    parts = []
    for place, (name, share) in enumerate(shares.items()):
        y = TOP + place * row
        width = round((RIGHT - 56 - first) * share / largest, 1)
        parts.append(
            f'<text x="{first - 10}" y="{y + 15}" text-anchor=end>{safe(_shortened(name, 20))}</text>'
            f'<rect x="{first}" y="{y}" width="{max(width, 1)}" height="20" rx="3" />'
            f'<text x="{first + width + 8}" y="{y + 15}">{share:.0%}</text>'
        )
    return _picture(title, parts, TOP + len(shares) * row)


def dots(x: Axis, y: Axis, marks: Sequence[Dot], title: str, line: Sequence[tuple[float, float]] = ()) -> str:
    """Return dots over two axes.

    :param line: steps through these points: what was the best until then.
    """
    parts = [*_frame(x, y)]
    if line:
        steps = [(x.place(across, LEFT, RIGHT), y.place(up, BOTTOM, TOP)) for across, up in line]
        path = f"M{steps[0][0]},{steps[0][1]}" + "".join(f"H{across}V{up}" for across, up in steps[1:])
        parts.append(f'<path d="{path}" class=best />')
    for dot in marks:
        across, up = x.place(dot.x, LEFT, RIGHT), y.place(dot.y, BOTTOM, TOP)
        told = f"<title>{safe(dot.title)}</title>"
        parts.append(f'<circle cx="{across}" cy="{up}" r="5" class="{dot.kind}">{told}</circle>')
    return _picture(title, parts, HEIGHT)


def _frame(x: Axis, y: Axis) -> Iterator[str]:
    for number, label in y.ticks():
        at = y.place(number, BOTTOM, TOP)
        yield f'<path d="M{LEFT},{at}H{RIGHT}" class=grid />'
        yield f'<text x="{LEFT - 8}" y="{at + 4}" text-anchor=end>{safe(label)}</text>'
    for number, label in x.ticks():
        at = x.place(number, LEFT, RIGHT)
        yield f'<text x="{at}" y="{BOTTOM + 20}" text-anchor=middle>{safe(label)}</text>'
    yield f'<path d="M{LEFT},{BOTTOM}H{RIGHT}" class=base />'


def _picture(title: str, parts: Sequence[str], height: float) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role=img aria-label="{safe(title)}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(parts)}</svg>"
    )


def _shortened(name: str, most: int = 14) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
