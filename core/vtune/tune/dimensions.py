"""One searched key: a range of numbers or a choice of values, read from text and written back to it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vtune.errors import RecipeError, nearest, shown
from vtune.recipe.parse import parse, plain_value

SIGNIFICANT_DIGITS = 4
"""Digits of a number from a range: a learning rate needs no more, and people read them."""

_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})((?::[^:]*)*)")
_PLAIN = re.compile(r"[A-Za-z_./~][\w./~-]*")

Value = int | float | str
"""Of a range a number; of a choice the YAML text of what was chosen."""


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from ``low`` to ``high``, both included.

    :param log: drawn evenly by their logarithms; ``step``: only every so many.
    :param whole: whole numbers only, as the recipe's key has them.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def __str__(self) -> str:
        ending = ":log" if self.log else f":step={_short(self.step)}" if self.step else ""
        return f"{_short(self.low)}..{_short(self.high)}{ending}"

    @property
    def ends(self) -> list[str]:
        """What has to be valid in a recipe for all between to be."""
        return [_short(self.low), _short(self.high)]

    def values(self) -> list[Value] | None:
        """Return all numbers there are; None where there is no end of them."""
        step = self.step or (1 if self.whole else None)
        if step is None:
            return None
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        return [self.tidy(self.low + place * step) for place in range(count)]

    def tidy(self, number: float) -> Value:
        """Return a number as it is used: whole, on its step, or with few digits, and never out of the range."""
        if self.whole:
            return round(number)
        short = float(f"{number:.12g}" if self.step else f"{number:.{SIGNIFICANT_DIGITS}g}")
        return min(max(short, self.low), self.high)

    def own(self, value: Any) -> Value | None:
        """Return a recipe's own value as one of this range, None where it is none."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return None
        every = self.values()
        return value if every is None else next((one for one in every if one == value), None)

    @staticmethod
    def text(value: Value) -> str:
        """Return a value as an override has it."""
        return _short(value) if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values, each as YAML text; Optuna takes them as having no order."""

    options: tuple[str, ...]

    def __str__(self) -> str:
        return ",".join(self.options)

    @property
    def ends(self) -> list[str]:
        """What has to be valid in a recipe."""
        return list(self.options)

    def values(self) -> list[Value]:
        """Return all of them."""
        return list(self.options)

    @staticmethod
    def text(value: Value) -> str:
        """Return a value as an override has it."""
        return str(value)


Dimension = Range | Choice


def read_dimension(written: Any, origin: str) -> Dimension:
    """Read ``1e-5..1e-3:log``, ``2..8``, ``0..1:step=0.25`` or ``8,16,32``; a YAML file may hold a list.

    :raises RecipeError: it is neither; one line.
    """
    if isinstance(written, list):
        return _choice(written, origin)
    text = str(written).strip()
    match = _RANGE.fullmatch(text)
    if match:
        return _range(float(match[1]), float(match[2]), match[3].split(":")[1:], origin)
    if re.match(rf"{_NUMBER}\.\.", text):
        raise RecipeError([f"{origin}: {shown(text)} is no range; write one like 1e-5..1e-3:log or 2..8:step=2"])
    listed = parse(f"[{text}]", origin) if isinstance(written, str) else [written]
    return _choice(listed, origin)


def _range(low: float, high: float, endings: Sequence[str], origin: str) -> Range:
    log, step = False, None
    for ending in endings:
        name, equals, number = ending.partition("=")
        if name == "log" and not equals:
            log = True
        elif name == "step" and re.fullmatch(_NUMBER, number):
            step = float(number)
        else:
            hint = nearest(ending, ["log", "step"]) or " (known: log, step=NUMBER)"
            raise RecipeError([f"{origin}: a range ends in ':log' or ':step=2', not in {shown(':' + ending)}{hint}"])
    if not low < high:
        raise RecipeError([f"{origin}: the range {low:g}..{high:g} ends before it begins"])
    if log and low <= 0:
        raise RecipeError([f"{origin}: a range with :log begins above 0, not at {low:g}"])
    if log and step is not None:
        raise RecipeError([f"{origin}: a range has :log or :step, not both"])
    if step is not None and not 0 < step <= high - low:
        raise RecipeError([f"{origin}: a step of {step:g} does not fit into {low:g}..{high:g}"])
    return Range(low, high, log, step)


def _choice(listed: Sequence[Any], origin: str) -> Choice:
    options = [_as_text(value) for value in listed]
    if len(options) < 2:
        found = options[0] if options else "nothing"
        raise RecipeError([f"{origin}: {shown(found)} alone is nothing to search; give a range (2..8) or more choices"])
    twice = next((one for one in options if options.count(one) > 1), None)
    if twice is not None:
        raise RecipeError([f"{origin}: the choice {twice} stands twice"])
    return Choice(tuple(options))


def _as_text(value: Any) -> str:
    """Write plain data as YAML on one line, as short as it can be read back."""
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and plain_value(value) == value
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(_as_text, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_as_text(key)}: {_as_text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, float):
        return _short(value)
    return json.dumps(value)


def _short(number: float | None) -> str:
    """Write a number as short as it can be read back: 1e-05, 8, 0.25."""
    text = repr(float(number or 0.0))
    return text.removesuffix(".0") if "inf" not in text and "nan" not in text else f".{text}"
