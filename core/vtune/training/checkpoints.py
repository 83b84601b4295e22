"""Write checkpoints that are complete or absent, and find damaged ones.

A checkpoint is written into another folder; its files are listed with hashes and flushed; then it is renamed.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

from vtune.runtime.paths import replace_folder, write_json

MANIFEST = "complete.json"
_STOP_MARKER = "stopped_here"
_NAME = re.compile(r"^checkpoint-(\d+)$")


def path_of(folder: Path, step: int) -> Path:
    """Return the path of the checkpoint of a step in the folder of its training."""
    return folder / f"checkpoint-{step}"


def step_of(checkpoint: Path) -> int:
    """Return the step of a checkpoint; ``checkpoint-120`` is 120."""
    return int(checkpoint.name.rsplit("-", 1)[-1])


def partial_folder(folder: Path) -> Path:
    """Return the folder in which a checkpoint is written before it is renamed into ``folder``."""
    return folder / ".partial"


def complete(checkpoint: Path, folder: Path) -> Path:
    """Move a finished checkpoint from the partial folder into ``folder`` and return its new path."""
    seal(checkpoint)
    path = folder / checkpoint.name
    replace_folder(checkpoint, path)
    clean(folder)
    return path


def seal(folder: Path) -> None:
    """List every file of a folder with its size and hash, so that damage is noticed later."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = {str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": _hash(path)} for path in files}
    write_json(folder / MANIFEST, listed)


def damage(folder: Path) -> str | None:
    """Return which file of a sealed folder has changed since it was written, and how; None if no file has."""
    return _listed_damage(folder, contents=True)


def is_complete(checkpoint: Path) -> bool:
    """Tell whether every file of the manifest exists with its size; cheaper than ``damage``."""
    return _listed_damage(checkpoint, contents=False) is None


def all_checkpoints(folder: Path) -> list[Path]:
    """Return every checkpoint of a training, damaged or not, the newest first."""
    if not folder.is_dir():
        return []
    paths = [path for path in folder.iterdir() if _NAME.match(path.name) and path.is_dir()]
    return sorted(paths, key=step_of, reverse=True)


def complete_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Return every complete checkpoint with its step, the oldest first."""
    return [(step_of(path), path) for path in reversed(all_checkpoints(folder)) if is_complete(path)]


def rotate(folder: Path, limit: int | None, newest: int, best: Path | None) -> None:
    """Remove the oldest checkpoints beyond a limit, but neither the newest nor the best.

    :param newest: step of the newest; later checkpoints are left over from a damaged training and do not count.
    """
    if not limit:
        return
    counted = [path for path in reversed(all_checkpoints(folder)) if step_of(path) <= newest]
    kept = {counted[-1], best} & set(counted)
    removable = [path for path in counted if path not in kept]
    for path in removable[: max(0, len(counted) - max(limit, len(kept)))]:
        _remove(path, folder)


def mark_stop_only(checkpoint: Path) -> None:
    """Mark a checkpoint that is written only because a signal stops the training at its step."""
    (checkpoint / _STOP_MARKER).touch()


def is_stop_only(checkpoint: Path) -> bool:
    """Tell whether a checkpoint was written only because a signal stopped the training at its step."""
    return (checkpoint / _STOP_MARKER).is_file()


def drop_stop_only(folder: Path, newest: int) -> None:
    """Remove checkpoints that were written only because of a signal, once another checkpoint is complete.

    :param newest: step of the checkpoint that is complete.
    """
    for path in all_checkpoints(folder):
        if step_of(path) != newest and is_stop_only(path):
            _remove(path, folder)


def _remove(checkpoint: Path, folder: Path) -> None:
    # A checkpoint that is half removed must not be found and taken for a damaged one.
    partial_folder(folder).mkdir(exist_ok=True)
    checkpoint.rename(partial_folder(folder) / checkpoint.name)
    clean(folder)


def clean(folder: Path) -> None:
    """Remove the partial folder that a killed run has left."""
    shutil.rmtree(partial_folder(folder), ignore_errors=True)


def _listed_damage(folder: Path, *, contents: bool) -> str | None:
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return f"{MANIFEST} is missing"
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))
        for name, entry in files.items():
            path, size = folder / name, entry["bytes"]
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != size:
                return f"{name} has {path.stat().st_size:,} bytes instead of {size:,}"
            if contents and _hash(path) != entry["sha256"]:
                return f"{name} has changed since it was written"
    except OSError as error:
        return f"{error.filename or folder} cannot be read: {error.strerror}"
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return f"{MANIFEST} is not a list of files with their sizes and hashes"
    return None


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
