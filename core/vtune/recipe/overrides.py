"""``key=value`` and ``~key`` on the command line, laid over a draft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vtune.errors import RecipeError
from vtune.recipe.draft import Draft, KeyPath, dotted, forget
from vtune.recipe.reading import parse


def apply_overrides(draft: Draft, overrides: Sequence[str]) -> None:
    """Change ``draft`` in place: ``train.epochs=3`` sets, ``data.0.voice=a`` reaches into lists, ``~lora`` removes.

    Values are YAML. Sections that are not there yet are made; a list grows by naming the place after its end.

    :raises RecipeError: every override that cannot be applied, one line each.
    """
    problems: list[str] = []
    for override in overrides:
        try:
            _apply(draft, override)
        except RecipeError as error:
            problems.extend(error.problems)
    if problems:
        raise RecipeError(problems)


def _apply(draft: Draft, override: str) -> None:
    origin = f"override {override[:80]!r}"
    if override.startswith("~"):
        path = _path(override[1:], origin)
        _remove(draft, path, origin)
        return
    key, equals, text = override.partition("=")
    if not equals:
        raise RecipeError([f"{origin}: write key=value to set or ~key to remove"])
    path = _path(key, origin)
    value = parse(text, origin)
    parent = _descend(draft, path[:-1], origin)
    last = path[-1]
    if isinstance(parent, list):
        _set_item(parent, last, value, path, origin)
    else:
        parent[str(last)] = value
    forget(draft, path)
    draft.origins[path] = origin


def _path(text: str, origin: str) -> KeyPath:
    parts = text.strip().split(".")
    if not all(parts):
        raise RecipeError([f"{origin}: the key has an empty part; write it like train.epochs"])
    return tuple(int(part) if part.isascii() and part.isdigit() else part for part in parts)


def _descend(draft: Draft, path: KeyPath, origin: str) -> Any:
    node: Any = draft.data
    for depth, part in enumerate(path):
        if isinstance(node, list):
            if not isinstance(part, int) or part >= len(node):
                raise RecipeError([f"{origin}: {dotted(path[:depth])!r} has {len(node)} items, not {part!r}"])
            child = node[part]
        else:
            child = node.setdefault(str(part), {})
            if child is None:
                child = node[str(part)] = {}
        if not isinstance(child, dict | list):
            raise RecipeError([f"{origin}: {dotted(path[: depth + 1])!r} is {child!r}, it has no keys"])
        node = child
    return node


def _set_item(items: list[Any], index: str | int, value: Any, path: KeyPath, origin: str) -> None:
    if not isinstance(index, int) or index > len(items):
        raise RecipeError([f"{origin}: {dotted(path[:-1])!r} has {len(items)} items; name 0 to {len(items)}"])
    items[index : index + 1] = [value]


def _remove(draft: Draft, path: KeyPath, origin: str) -> None:
    node: Any = draft.data
    for part in path[:-1]:
        if isinstance(node, dict):
            node = node.get(str(part))
        else:
            node = node[part] if isinstance(node, list) and isinstance(part, int) and part < len(node) else None
    last = path[-1]
    if isinstance(node, dict) and str(last) in node:
        del node[str(last)]
    elif isinstance(node, list) and isinstance(last, int) and last < len(node):
        del node[last]
    else:
        raise RecipeError([f"{origin}: there is no {dotted(path)!r} to remove"])
    forget(draft, path)
