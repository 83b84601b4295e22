"""Checkpoints that are whole or absent: written aside, listed with hashes, flushed, renamed; and which are damaged."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

from vtune.runtime.paths import settle, write_json

MANIFEST = "complete.json"
_BETWEEN = "stopped_here"
_NAME = re.compile(r"^checkpoint-(\d+)$")


def place_of(folder: Path, step: int) -> Path:
    """Return where the checkpoint of a step stands in the folder of its training."""
    return folder / f"checkpoint-{step}"


def step_of(checkpoint: Path) -> int:
    """Return the step of a checkpoint, which its name ends with."""
    return int(checkpoint.name.rsplit("-", 1)[-1])


def aside_of(folder: Path) -> Path:
    """Where a checkpoint is written before it takes its place in ``folder``."""
    return folder / ".partial"


def complete(checkpoint: Path, folder: Path) -> Path:
    """Move a finished checkpoint from aside into ``folder`` and return where it stands."""
    seal(checkpoint)
    place = folder / checkpoint.name
    settle(checkpoint, place)
    clean(folder)
    return place


def seal(folder: Path) -> None:
    """List every file of a folder with its size and hash, so that damage is noticed later."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = {str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": _hash(path)} for path in files}
    write_json(folder / MANIFEST, listed)


def damage(folder: Path) -> str | None:
    """Return which file of a sealed folder is not as it was written, and why; None where every file is."""
    return _listed_damage(folder, contents=True)


def is_complete(checkpoint: Path) -> bool:
    """Whether every file that the manifest lists is there with its size; cheaper than ``damage``."""
    return _listed_damage(checkpoint, contents=False) is None


def all_of(folder: Path) -> list[Path]:
    """Return every checkpoint of a training, damaged or not, the newest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.match(path.name) and path.is_dir()]
    return sorted(found, key=step_of, reverse=True)


def complete_ones(folder: Path) -> list[tuple[int, Path]]:
    """Return every complete checkpoint with its step, in their order."""
    return [(step_of(path), path) for path in reversed(all_of(folder)) if is_complete(path)]


def rotate(folder: Path, limit: int | None, newest: int, best: Path | None) -> None:
    """Remove the oldest checkpoints beyond a limit, but neither the newest nor the best.

    :param newest: step of the newest; what is beyond it is left of a training that was damaged, and counts for nothing.
    """
    if not limit:
        return
    counted = [path for path in reversed(all_of(folder)) if step_of(path) <= newest]
    kept = {counted[-1], best} & set(counted)
    loose = [path for path in counted if path not in kept]
    for path in loose[: max(0, len(counted) - max(limit, len(kept)))]:
        _remove(path, folder)


def mark_between(checkpoint: Path) -> None:
    """Note that a checkpoint is written only because a signal stops the training at its step."""
    (checkpoint / _BETWEEN).touch()


def is_between(checkpoint: Path) -> bool:
    """Whether a checkpoint is written only because a signal stops the training at its step."""
    return (checkpoint / _BETWEEN).is_file()


def drop_between(folder: Path, newest: int) -> None:
    """Remove checkpoints that were written only to stop, once another one is complete.

    :param newest: step of the checkpoint that is complete.
    """
    for path in all_of(folder):
        if step_of(path) != newest and is_between(path):
            _remove(path, folder)


def _remove(checkpoint: Path, folder: Path) -> None:
    # A checkpoint that is half removed must not be found as a damaged one.
    aside_of(folder).mkdir(exist_ok=True)
    checkpoint.rename(aside_of(folder) / checkpoint.name)
    clean(folder)


def clean(folder: Path) -> None:
    """Remove what a killed run left aside."""
    shutil.rmtree(aside_of(folder), ignore_errors=True)


def _listed_damage(folder: Path, *, contents: bool) -> str | None:
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return f"{MANIFEST} is missing"
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))
        for name, known in files.items():
            path, size = folder / name, known["bytes"]
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != size:
                return f"{name} has {path.stat().st_size:,} bytes instead of {size:,}"
            if contents and _hash(path) != known["sha256"]:
                return f"{name} has other contents than were written"
    except OSError as error:
        return f"{error.filename or folder} cannot be read: {error.strerror}"
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return f"{MANIFEST} is not a list of files with their sizes and hashes"
    return None


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
