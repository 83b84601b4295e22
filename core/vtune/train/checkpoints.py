"""Checkpoints that are complete or absent: written aside, listed, flushed, renamed; and the newest one found."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from vtune.folders import settle, write_json

MANIFEST = "complete.json"
_NAME = re.compile(r"^checkpoint-(\d+)$")


def aside_of(folder: Path) -> Path:
    """Where a checkpoint is written before it takes its place in ``folder``."""
    return folder / ".partial"


def complete(checkpoint: Path, folder: Path) -> Path:
    """Move a finished checkpoint from aside into ``folder`` and return where it stands."""
    files = {str(p.relative_to(checkpoint)): p.stat().st_size for p in checkpoint.rglob("*") if p.is_file()}
    write_json(checkpoint / MANIFEST, files)
    place = folder / checkpoint.name
    settle(checkpoint, place)
    clean(folder)
    return place


def is_complete(checkpoint: Path) -> bool:
    """Whether every file that the manifest lists is there with its size."""
    try:
        files: dict[str, int] = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
        return all((checkpoint / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError):
        return False


def complete_ones(folder: Path) -> list[tuple[int, Path]]:
    """Return every complete checkpoint with its step, in their order."""
    if not folder.is_dir():
        return []
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.match(path.name))]
    return [(step, path) for step, path in sorted(found) if is_complete(path)]


def newest(folder: Path) -> Path | None:
    """Return the complete checkpoint with the most steps."""
    return next((path for _, path in reversed(complete_ones(folder))), None)


def clean(folder: Path) -> None:
    """Remove what a killed run left aside."""
    shutil.rmtree(aside_of(folder), ignore_errors=True)
