"""Allow engine files: Python files instead of installed engines, which run only if the user has named them.

A voice, a checkpoint, a run or a download may come from anybody, so a file that only they name is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from vtune.errors import EngineError, printable, shown

VOICE_MARKS = ("voice.json", "adapter_config.json", "adapter_model.safetensors")
MODEL_MARKS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
RUN_MARKS = ("checkpoints", ".lock")
"""Beside a ``recipe.yaml``."""

HUB_PREFIXES = ("models--", "datasets--", "spaces--")

_named: list[Path] = []


def is_engine_file(name: str) -> bool:
    """Whether a recipe or a voice names a file instead of an installed engine."""
    return name.endswith(".py")


def use_engine_file(path: str | Path) -> None:
    """Let recipes and voices of this process run one engine file; it is imported when a recipe or a voice names it.

    :param path: a file that the user answers for, as with ``--engine-file``; of two with one name the last counts.
    :raises EngineError: the file does not exist, or is not a Python file.
    """
    if not is_engine_file(str(path)):
        raise EngineError(f"{shown(str(path))} is not an engine file: its name must end in .py")
    if not os.path.isfile(path):
        raise EngineError(f"there is no engine file {shown(str(path))}")
    resolved = Path(path).resolve()
    if resolved in _named:
        _named.remove(resolved)
    _named.append(resolved)


def use_engine_files(paths: Iterable[Path]) -> None:
    """Let this process run the engine files that another process of the same user may run."""
    for path in paths:
        use_engine_file(path)


def engine_files() -> tuple[Path, ...]:
    """Return every file that the user has named, as absolute paths."""
    return tuple(_named)


def named_engine_file(name: str) -> Path:
    """Return the file that the user has named under a path or a file name.

    :raises EngineError: the user has not named this file; the message says how to name it.
    """
    path = Path(name)
    # Unlike Path.is_file, os.path.isfile is false for a name that no file system takes.
    same_file = [file for file in _named if os.path.isfile(path) and file == path.resolve()]
    same_name = [file for file in reversed(_named) if file.name == path.name]
    for file in (*same_file, *same_name):
        return file
    raise EngineError(
        f"engine {shown(name)} is a Python file, which vtune runs only if you name it, not because a voice, a run or a "
        f"recipe names it; if you trust the file, add --engine-file PATH/{printable(path.name[:60])}"
    )


def came_with(path: Path) -> str | None:
    """Return the folder of a file if somebody else may have made the folder; None for the user's own files.

    Both the path as it is written and the path behind its links are checked.
    """
    absolute = Path(os.path.abspath(path))
    for folder in dict.fromkeys((*absolute.parents, *absolute.resolve().parents)):
        if _has(folder, VOICE_MARKS):
            return f"the voice folder {folder}"
        if _has(folder, MODEL_MARKS):
            return f"the model folder {folder}"
        if _has(folder, ("ledger.jsonl",)) or (_has(folder, ("recipe.yaml",)) and _has(folder, RUN_MARKS)):
            return f"the run folder {folder}"
        if folder.name.startswith(HUB_PREFIXES):
            return f"the download {folder}"
    return None


def _has(folder: Path, names: Iterable[str]) -> bool:
    return any(os.path.lexists(folder / name) for name in names)
