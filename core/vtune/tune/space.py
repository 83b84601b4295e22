"""Read the space that a study searches, and check it against the recipe before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from vtune.engines import load_recipe
from vtune.errors import RecipeError, shown
from vtune.recipe.parse import read_yaml
from vtune.tune.dimensions import Dimension, Range, Value, read_dimension

_REFUSED = {
    "voice": "every trial makes the same voice",
    "engine": "bases are compared by runs of their own",
    "folders": "every trial has folders of its own",
    "consent": "it changes nothing that can be heard",
    "evaluate": "every trial must be judged alike",
    "train.validation": "every trial must be judged by the same clips",
    "train.world_size": "a study runs in one process",
}
_CLIPS = ("data", "prepare", "transcribe")
# Changing these leaves the validation loss the same measure of the same clips.
_SAME_LOSS = re.compile(r"(train|lora|augment)\..+|data\.[0-9]+\.weight")

Values = Mapping[str, Value]
"""One point of a space, by key."""


@dataclass(frozen=True, slots=True)
class Space:
    """Keys and their dimensions.

    :param own: the values that the recipe itself has, where they lie in the space.
    """

    dimensions: Mapping[str, Dimension]
    own: Values | None = None

    def __str__(self) -> str:
        return " ".join(f"{key}={dimension}" for key, dimension in self.dimensions.items())

    @property
    def size(self) -> int | None:
        """Number of points; None if there are infinitely many."""
        every = [dimension.values() for dimension in self.dimensions.values()]
        return None if None in every else prod(len(values) for values in every if values is not None)

    @property
    def same_loss(self) -> bool:
        """Whether validation losses of different points can be compared."""
        return all(_SAME_LOSS.fullmatch(key) for key in self.dimensions)

    def overrides(self, values: Values) -> list[str]:
        """Return a point as overrides of the recipe."""
        return [f"{key}={dimension.text(values[key])}" for key, dimension in self.dimensions.items()]

    def settings(self) -> dict[str, str]:
        """Return plain data, which ``read_space`` reads."""
        return {key: str(dimension) for key, dimension in self.dimensions.items()}


def read_space(searches: Sequence[str], file: Path | None = None) -> dict[str, Dimension]:
    """Read ``key=range`` and ``key=choices``, and a YAML file of the same, with or without sections.

    :raises RecipeError: texts that cannot be understood, one line for each.
    """
    dimensions: dict[str, Dimension] = {}
    problems: list[str] = []
    for key, written, origin in [*(_in_file(file) if file else ()), *_in_line(searches)]:
        try:
            if key in dimensions:
                raise RecipeError([f"{origin}: it is given twice; remove one of the two"])
            dimensions[key] = read_dimension(written, origin)
        except RecipeError as error:
            problems += error.problems
    if problems:
        raise RecipeError(problems)
    return dimensions


def check_space(recipe: str, overrides: Sequence[str], dimensions: Mapping[str, Dimension]) -> Space:
    """Hold every dimension to the recipe: both ends of a range, and each choice, must be valid there.

    :raises RecipeError: the recipe's own problems, else one line for each key that cannot be searched.
    """
    settings = load_recipe(recipe, overrides).settings()
    given = {override.lstrip("~").partition("=")[0].strip() for override in overrides}
    problems: list[str] = []
    checked: dict[str, Dimension] = {}
    own: dict[str, Value] = {}
    for key, dimension in dimensions.items():
        try:
            _allow(key, given, dimensions, settings)
            tried = [_tried(recipe, overrides, key, text) for text in dimension.ends]
            checked[key] = typed = _typed(dimension, key, tried)
            mine = _at(settings, key)
            texts = zip(dimension.ends, tried, strict=True)
            same = (text for text, parsed in texts if parsed == mine)
            value = typed.own(mine) if isinstance(typed, Range) else next(same, None)
            own |= {key: value} if value is not None else {}
        except RecipeError as error:
            problems.append(error.problems[0])
    if problems:
        raise RecipeError(problems)
    return Space(checked, own if len(own) == len(checked) else None)


def _allow(key: str, given: set[str], keys: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    for refused, reason in _REFUSED.items():
        if key == refused or key.startswith(f"{refused}."):
            raise RecipeError([f"--search {key}: it cannot be searched: {reason}"])
    if key.split(".")[0] in _CLIPS and not _SAME_LOSS.fullmatch(key) and settings["evaluate"]["source"] is None:
        raise RecipeError(
            [f"--search {key}: it changes which clips are held out; name evaluate.source, to judge every trial alike"]
        )
    for other_key in [*given, *(name for name in keys if name != key)]:
        if key == other_key or key.startswith(f"{other_key}.") or other_key.startswith(f"{key}."):
            raise RecipeError([f"--search {key}: {shown(other_key)} is given as well; remove one of the two"])


def _tried(recipe: str, overrides: Sequence[str], key: str, text: str) -> Any:
    """Return the value that a recipe reads from a text. :raises RecipeError: the recipe does not accept the text."""
    override = f"{key}={text}"
    try:
        return _at(load_recipe(recipe, [*overrides, override]).settings(), key)
    except RecipeError as error:
        # The recipe itself is valid, so this value is the mistake.
        lines = (line.removeprefix(f"override {override[:80]!r}: ") for line in error.problems)
        raise RecipeError([f"--search {key}: {line}" for line in lines]) from error


def _typed(dimension: Dimension, key: str, values: Sequence[Any]) -> Dimension:
    """Make a range whole if its key holds whole numbers. :raises RecipeError: the key holds no numbers."""
    if not isinstance(dimension, Range):
        return dimension
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        raise RecipeError([f"--search {key}: it does not hold a number, so it cannot have a range; list its choices"])
    if not all(isinstance(value, int) for value in values):
        return dimension
    if dimension.step is not None and not dimension.step.is_integer():
        raise RecipeError([f"--search {key}: it holds whole numbers, so a step is whole, not {dimension.step:g}"])
    return replace(dimension, is_integer=True)


def _at(settings: Any, key: str) -> Any:
    for part in key.strip().split("."):
        if isinstance(settings, list):
            settings = settings[int(part)] if part.isdigit() and int(part) < len(settings) else None
        else:
            settings = settings.get(part) if isinstance(settings, Mapping) else None
    return settings


def _in_line(searches: Sequence[str]) -> Iterator[tuple[str, Any, str]]:
    for search in searches:
        key, _, written = search.partition("=")
        yield key.strip(), written, f"--search {key.strip()}"


def _in_file(path: Path) -> Iterator[tuple[str, Any, str]]:
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise RecipeError([f"{path}: a search space is a mapping of recipe keys to ranges and choices"])
    yield from _leaves(data, "", path)


def _leaves(data: Mapping[str, Any], above: str, path: Path) -> Iterator[tuple[str, Any, str]]:
    for name, written in data.items():
        key = f"{above}.{name}".strip(".")
        if isinstance(written, dict):
            yield from _leaves(written, key, path)
        else:
            yield key, written, f"{path}: {key}"
