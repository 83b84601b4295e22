"""Read the range or the choices of a searched key from text, and write them back."""

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
"""A number of a range, or the YAML text of a choice."""


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from ``low`` to ``high``, both included.

    :param log: logarithms of the numbers are drawn evenly.
    :param step: distance between two numbers; None for all numbers of the range.
    :param is_integer: whole numbers only, because the key of the recipe has whole numbers.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    is_integer: bool = False

    def __str__(self) -> str:
        ending = ":log" if self.log else f":step={_short(self.step)}" if self.step else ""
        return f"{_short(self.low)}..{_short(self.high)}{ending}"

    @property
    def ends(self) -> list[str]:
        """Texts of the two ends; if both are valid in a recipe, all numbers between them are."""
        return [_short(self.low), _short(self.high)]

    def values(self) -> list[Value] | None:
        """Return all numbers of the range; None if there are infinitely many."""
        step = self.step or (1 if self.is_integer else None)
        if step is None:
            return None
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        return [self.tidy(self.low + index * step) for index in range(count)]

    def tidy(self, number: float) -> Value:
        """Return a drawn number as it is used: whole or rounded to few digits, and inside the range."""
        if self.is_integer:
            return round(number)
        short = float(f"{number:.12g}" if self.step else f"{number:.{SIGNIFICANT_DIGITS}g}")
        return min(max(short, self.low), self.high)

    def own(self, value: Any) -> Value | None:
        """Return the value of a recipe if it is in this range, else None."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return None
        every = self.values()
        return value if every is None else next((number for number in every if number == value), None)

    @staticmethod
    def text(value: Value) -> str:
        """Return a value as an override has it."""
        return _short(value) if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Choice:
    """Several values, each as YAML text; for Optuna they have no order."""

    options: tuple[str, ...]

    def __str__(self) -> str:
        return ",".join(self.options)

    @property
    def ends(self) -> list[str]:
        """Texts that must be valid in a recipe."""
        return list(self.options)

    def values(self) -> list[Value]:
        """Return all choices."""
        return list(self.options)

    @staticmethod
    def text(value: Value) -> str:
        """Return a value as an override has it."""
        return str(value)


Dimension = Range | Choice


def read_dimension(written: Any, origin: str) -> Dimension:
    """Read ``1e-5..1e-3:log``, ``2..8``, ``0..1:step=0.25`` or ``8,16,32``; a YAML file may hold a list.

    :raises RecipeError: the text is neither a range nor choices; one line.
    """
    if isinstance(written, list):
        return _choice(written, origin)
    text = str(written).strip()
    match = _RANGE.fullmatch(text)
    if match:
        return _range(float(match[1]), float(match[2]), match[3].split(":")[1:], origin)
    if re.match(rf"{_NUMBER}\.\.", text):
        raise RecipeError([f"{origin}: {shown(text)} is not a range; write a range like 1e-5..1e-3:log or 2..8:step=2"])
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
            raise RecipeError(
                [f"{origin}: a range ends with ':log' or ':step=2', not with {shown(':' + ending)}{hint}"]
            )
    if not low < high:
        raise RecipeError([f"{origin}: the range {low:g}..{high:g} ends before it begins"])
    if log and low <= 0:
        raise RecipeError([f"{origin}: a range with :log must begin above 0, not at {low:g}"])
    if log and step is not None:
        raise RecipeError([f"{origin}: a range can have :log or :step, not both"])
    if step is not None and not 0 < step <= high - low:
        raise RecipeError([f"{origin}: a step of {step:g} does not fit into {low:g}..{high:g}"])
    return Range(low, high, log, step)


def _choice(listed: Sequence[Any], origin: str) -> Choice:
    options = [_as_text(value) for value in listed]
    if len(options) < 2:
        only = options[0] if options else "nothing"
        raise RecipeError([f"{origin}: {shown(only)} is a single choice; give a range (2..8) or several choices"])
    twice = next((option for option in options if options.count(option) > 1), None)
    if twice is not None:
        raise RecipeError([f"{origin}: the choice {twice} is given twice; give it once"])
    return Choice(tuple(options))


def _as_text(value: Any) -> str:
    """Write plain data as the shortest YAML on one line that is read back unchanged."""
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and plain_value(value) == value
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(_as_text, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_as_text(key)}: {_as_text(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, float):
        return _short(value)
    return json.dumps(value)


def _short(number: float | None) -> str:
    """Write a number as the shortest text that is read back unchanged: 1e-05, 8, 0.25."""
    text = repr(float(number or 0.0))
    return text.removesuffix(".0") if "inf" not in text and "nan" not in text else f".{text}"
