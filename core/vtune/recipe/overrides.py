"""``key=value`` and ``~key`` on the command line, laid over a draft."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from vtune.errors import RecipeError, shown
from vtune.recipe.draft import Draft, KeyPath, dotted, drop_origins
from vtune.recipe.parse import parse


def override_texts(overrides: Sequence[str] | Mapping[str, Any]) -> Sequence[str]:
    """Return overrides as on the command line: ``{"train.epochs": 3}`` becomes ``["train.epochs=3"]``."""
    if isinstance(overrides, str):
        raise TypeError(f"overrides are a list of texts or a mapping; write [{overrides!r}]")
    if isinstance(overrides, Mapping):
        # JSON is YAML; a path is its text.
        return [f"{key}={json.dumps(value, default=str)}" for key, value in overrides.items()]
    return overrides


def apply_overrides(draft: Draft, overrides: Sequence[str]) -> None:
    """Change ``draft`` in place: ``train.epochs=3`` sets, ``data.0.voice=a`` reaches into lists, ``~lora`` removes.

    Values are YAML. Sections that are not there yet are made; the number after the last item makes a list longer.

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
        _remove(draft, _parts(override[1:], origin), origin)
        return
    key, equals, text = override.partition("=")
    if not equals:
        raise RecipeError([f"{origin}: write key=value to set or ~key to remove"])
    parts = _parts(key, origin)
    value = parse(text, origin)
    parent, path = _descend(draft, parts, origin)
    last = path[-1]
    if isinstance(last, int) and last == len(parent):
        parent.append(value)
    else:
        parent[last] = value
    drop_origins(draft, path)
    draft.origins[path] = origin
    draft.writers.pop(parts[0], None)


def _parts(text: str, origin: str) -> list[str]:
    parts = text.strip().split(".")
    if not all(parts):
        raise RecipeError([f"{origin}: the key has an empty part; write a key such as train.epochs"])
    return parts


def _descend(draft: Draft, parts: Sequence[str], origin: str) -> tuple[Any, KeyPath]:
    """Return what holds the last part, and the whole path; sections and list items on the way are made."""
    node: Any = draft.data
    path: KeyPath = ()
    for part in parts[:-1]:
        step = _step(node, part, path, origin)
        path = (*path, step)
        if isinstance(step, int) and step == len(node):
            node.append({})
        elif isinstance(node, dict) and node.get(step) is None:
            node[step] = {}
        child = node[step]
        if not isinstance(child, dict | list):
            raise RecipeError([f"{origin}: {dotted(path)!r} has the value {shown(child)} and no keys"])
        node = child
    return node, (*path, _step(node, parts[-1], path, origin))


def _step(node: Any, part: str, path: KeyPath, origin: str) -> str | int:
    if not isinstance(node, list):
        return part
    index = _number(part)
    if index is None or index > len(node):
        fact = f"{dotted(path)!r} is a list of {len(node)} items"
        raise RecipeError([f"{origin}: {fact}; write an item number from 0 to {len(node)}, found {shown(part)}"])
    return index


def _number(part: str) -> int | None:
    return int(part) if part.isascii() and part.isdigit() and len(part) < 10 else None


def _remove(draft: Draft, parts: Sequence[str], origin: str) -> None:
    holder: Any = None
    node: Any = draft.data
    path: KeyPath = ()
    for part in parts:
        step = _number(part) if isinstance(node, list) else part
        there = step in node if isinstance(node, dict) else isinstance(step, int) and step < len(node)
        if step is None or not there:
            raise RecipeError([f"{origin}: there is no {shown('.'.join(parts))} to remove"])
        path = (*path, step)
        holder, node = node, node[step]
    del holder[path[-1]]
    drop_origins(draft, path)
    if isinstance(holder, list):
        draft.origins = {_moved_up(written, path): origin for written, origin in draft.origins.items()}


def _moved_up(path: KeyPath, removed: KeyPath) -> KeyPath:
    """Return the path that ``path`` has once the list item ``removed`` is gone."""
    *parents, gone = removed
    depth = len(parents)
    index = path[depth] if len(path) > depth and path[:depth] == tuple(parents) else None
    if isinstance(index, int) and isinstance(gone, int) and index > gone:
        return (*path[:depth], index - 1, *path[depth + 1 :])
    return path
