"""A recipe before it is checked: plain data, and where each value was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KeyPath = tuple[str | int, ...]


@dataclass(slots=True)
class Draft:
    """Plain data with origins.

    ``origins`` maps the path of a key or list item to ``"file:line"`` or ``"override 'key=value'"``.
    ``folder`` is where the recipe lies: sources may be given relative to it.
    ``writers`` maps each key of the top level to the file that wrote it last; what an override wrote has none.
    """

    name: str
    folder: Path
    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)
    writers: dict[str, Path] = field(default_factory=dict)

    def origin(self, path: KeyPath) -> str:
        """Say where ``path`` was written; for a value that is not there, where its parent was."""
        written = self.written(path)
        return self.origins[written] if written else self.name

    def written(self, path: KeyPath) -> KeyPath:
        """Return ``path``, or the nearest parent of it that was written; empty if none was."""
        return next((path[:end] for end in range(len(path), 0, -1) if path[:end] in self.origins), ())


def dotted(path: KeyPath) -> str:
    """Write a path as a user types it: ``data.0.source``."""
    return ".".join(str(part) for part in path)


def merge(below: Draft, above: Draft) -> Draft:
    """Lay one draft over another: sections merge key by key, lists and values are replaced whole."""
    merged = Draft(above.name, above.folder, dict(below.data), dict(below.origins), {**below.writers, **above.writers})
    _lay_over(merged, merged.data, above, above.data, ())
    return merged


def drop_origins(draft: Draft, path: KeyPath) -> None:
    """Drop the origins of ``path`` and of all below it."""
    for path in [k for k in draft.origins if k[: len(path)] == path]:
        del draft.origins[path]


def _lay_over(merged: Draft, into: dict[str, Any], above: Draft, data: dict[str, Any], path: KeyPath) -> None:
    for key, value in data.items():
        here = (*path, key)
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            into[key] = dict(into[key])
            merged.origins.pop(here, None)  # so that origins keep the order of the file above
            merged.origins[here] = above.origin(here)
            _lay_over(merged, into[key], above, value, here)
        else:
            drop_origins(merged, here)
            into[key] = value
            merged.origins.update({k: v for k, v in above.origins.items() if k[: len(here)] == here})
