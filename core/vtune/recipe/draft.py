"""A recipe before its check: plain data, and the file and line of each value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KeyPath = tuple[str | int, ...]


@dataclass(slots=True)
class Draft:
    """Plain data with origins.

    ``origins`` maps the path of a key or list item to ``"file:line"`` or ``"override 'key=value'"``.
    ``folder`` holds the recipe: sources may be relative to this folder.
    ``writers`` maps each top-level key to the last file that wrote it; keys of overrides are not in it.
    """

    name: str
    folder: Path
    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)
    writers: dict[str, Path] = field(default_factory=dict)

    def origin(self, path: KeyPath) -> str:
        """Return the file and line of ``path``, or of its nearest parent if the value is missing."""
        written = self.written(path)
        return self.origins[written] if written else self.name

    def written(self, path: KeyPath) -> KeyPath:
        """Return ``path`` or its nearest parent that is in the file; empty if there is none."""
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
    """Remove the origins of ``path`` and of all values below ``path``."""
    for written in [key_path for key_path in draft.origins if key_path[: len(path)] == path]:
        del draft.origins[written]


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
