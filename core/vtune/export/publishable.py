"""What of a voice's files may leave this machine: no path of this machine, and no base that only this machine has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from vtune.errors import VoiceError, shown
from vtune.recipe import read_draft
from vtune.voice_format.record import VoiceRecord

_PATH_KEYS = frozenset({"source", "impostors"})
"""Keys of a recipe whose values are paths even where they are relative."""

_ABSOLUTE = re.compile(r"(/|~|[A-Za-z]:[\\/]|\\\\)[^\n]+")

_NOT_PUBLISHED = ("folders", "extends")
"""Sections of a recipe that say only where things lie on the maker's machine."""


def require_public_base(record: VoiceRecord) -> None:
    """Refuse a voice whose base is a folder of this machine. :raises VoiceError: names the option."""
    for name, value in record.engine_options.items():
        if isinstance(value, str) and _ABSOLUTE.fullmatch(value):
            raise VoiceError(
                f"voice {record.name!r}: the option {name} is a path of this machine ({shown(value)}), which nobody "
                f"else has; say where others find the base: --set {name}=owner/name"
            )


def publishable_files(directory: Path) -> Iterator[tuple[str, bytes | Path]]:
    """Yield each file of an exported folder by its path in a repository; recipes and records without local paths."""
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_symlink() or not path.is_file():
            continue
        if path.name == "recipe.yaml":
            yield name, _recipe(path)
        elif path.name in {"voice.json", "scores.json", "export.json"}:
            content = without_local_paths(json.loads(path.read_text(encoding="utf-8")))
            yield name, json.dumps(content, indent=2, ensure_ascii=False).encode()
        else:
            yield name, path


def without_local_paths(tree: Any, key: str = "") -> Any:
    """Return nested data in which each path of this machine is its last name only.

    Example::

        {"source": "../tapes/jane", "model": "/home/j/tiny.pt"} gives {"source": "jane", "model": "tiny.pt"}
    """
    if isinstance(tree, Mapping):
        return {name: without_local_paths(value, str(name)) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [without_local_paths(value, key) for value in tree]
    if isinstance(tree, str) and not tree.startswith("hub:") and (_ABSOLUTE.fullmatch(tree) or key in _PATH_KEYS):
        return PureWindowsPath(tree).name if "\\" in tree else PurePosixPath(tree).name
    return tree


def _recipe(path: Path) -> bytes:
    data = {name: value for name, value in read_draft(path).data.items() if name not in _NOT_PUBLISHED}
    text = yaml.safe_dump(without_local_paths(data), sort_keys=False, allow_unicode=True)
    return f"# Paths of the machine that made this voice are left out.\n{text}".encode()
