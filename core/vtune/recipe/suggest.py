"""Suggest what an unknown key should have been: its new name, another section, or the nearest key."""

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
"""Keys of older recipes with their new names, which the search for the nearest name would not find."""

ELSEWHERE_CUTOFF = 0.8
"""Similarity from which a key of another section is suggested: at 0.6, `temperature` is taken for `sample_rate`."""


class Catalogue:
    """The valid keys of each section of a recipe.

    :param models: the model of each section, engine options and extensions included.
    """

    def __init__(self, models: Mapping[KeyPath, type[BaseModel]]) -> None:
        self._sections: dict[KeyPath, list[str]] = {}
        for at, model in models.items():
            self._sections.update(_sections(model, at))

    def suggest(self, key: str, section: KeyPath) -> str:
        """Return the end of an error line: the new name of ``key``, else its section, else the nearest key."""
        section = tuple(part for part in section if not isinstance(part, int))
        if (*section, key) in RENAMED:
            return f"; its name is now {RENAMED[*section, key]!r}"
        owners = [_section_name(path) for path, keys in self._sections.items() if key in keys]
        if owners:
            return f"; move it to {' or '.join(owners)}"
        valid_keys = self._sections.get(section, [])
        suggestion = nearest(key, valid_keys)
        if suggestion:
            return suggestion
        for path, keys in self._sections.items():
            suggestion = nearest(key, keys, ELSEWHERE_CUTOFF)
            if suggestion:
                return f"{suggestion.removesuffix('?')} in {_section_name(path)}?"
        return f" (valid keys: {listed(valid_keys, key)})" if valid_keys else ""


def _section_name(section: KeyPath) -> str:
    return f"section {dotted(section)!r}" if section else "the top level of the recipe"


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
