"""For a key that nothing knows: what was meant, or where it belongs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from vtune.errors import listed, nearest
from vtune.recipe.draft import KeyPath, dotted

RENAMED: Mapping[KeyPath, str] = {
    ("evaluate", "during"): "checkpoint_sentences",
    ("evaluate", "trained"): "train_sentences",
    ("evaluate", "others"): "impostors",
    ("evaluate", "judges"): "metrics",
}
"""Keys of older recipes with their names of today, which the nearest-name search would not find."""


class Catalogue:
    """Every section of a recipe with its keys.

    :param models: the model at each place, those of the engine and the extensions included.
    """

    def __init__(self, models: Mapping[KeyPath, type[BaseModel]]) -> None:
        self._sections: dict[KeyPath, list[str]] = {}
        for at, model in models.items():
            self._sections.update(_sections(model, at))

    def suggest(self, key: str, section: KeyPath) -> str:
        """Name the key that was renamed, else the section that has the key, else the nearest key here or elsewhere."""
        section = tuple(part for part in section if not isinstance(part, int))
        if (*section, key) in RENAMED:
            return f"; it is named {RENAMED[*section, key]!r} now"
        owners = [_place(other) for other, keys in self._sections.items() if key in keys]
        if owners:
            return f"; it belongs in {' or '.join(owners)}"
        own = self._sections.get(section, [])
        close = nearest(key, own)
        if close:
            return close
        for other, keys in self._sections.items():
            guess = nearest(key, keys)
            if guess:
                return f"{guess.removesuffix('?')} in {_place(other)}?"
        return f" (known: {listed(own, key)})" if own else ""


def _place(section: KeyPath) -> str:
    return f"section {dotted(section)!r}" if section else "the top of the recipe"


def _sections(model: type[BaseModel], at: KeyPath) -> Iterator[tuple[KeyPath, list[str]]]:
    yield at, list(model.model_fields)
    for name, field in model.model_fields.items():
        inner = model_in(field.annotation)
        if inner is not None and len(at) < 5:  # a model may hold itself
            yield from _sections(inner, (*at, name))


def model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model inside an annotation, such as ``list[Model]`` or ``Model | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for arg in get_args(annotation) if (m := model_in(arg)) is not None), None)
