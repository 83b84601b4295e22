from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vtune.training import checkpoints


def write(folder: Path, step: int) -> Path:
    written = checkpoints.partial_folder(folder) / f"checkpoint-{step}"
    written.mkdir(parents=True)
    (written / "optimizer.pt").write_bytes(b"x" * 100)
    (written / "trainer_state.json").write_text("{}")
    return checkpoints.complete(written, folder)


def names(folder: Path) -> list[str]:
    return [path.name for path in checkpoints.all_checkpoints(folder)]


def test_checkpoints_are_found_newest_first_and_nothing_stays_aside(tmp_path: Path) -> None:
    for step in (5, 100, 10):
        write(tmp_path, step)
    assert names(tmp_path) == ["checkpoint-100", "checkpoint-10", "checkpoint-5"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names(tmp_path))
    assert checkpoints.all_checkpoints(tmp_path / "nowhere") == []


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("harm", "says", "noticed_by_size"),
    [
        (lambda folder: (folder / "optimizer.pt").unlink(), "optimizer.pt is missing", True),
        (lambda folder: (folder / "optimizer.pt").write_bytes(b"x"), "has 1 bytes instead of 100", True),
        (
            lambda folder: (folder / "optimizer.pt").write_bytes(b"y" + b"x" * 99),
            "optimizer.pt has changed since it was written",
            False,
        ),
        (lambda folder: (folder / "optimizer.pt").write_bytes(bytes(100)), "has changed since it was written", False),
        (lambda folder: fifo(folder / "optimizer.pt"), "optimizer.pt is missing", True),
        (lambda folder: fifo(folder / checkpoints.MANIFEST), "complete.json is missing", True),
        (lambda folder: (folder / checkpoints.MANIFEST).unlink(), "complete.json is missing", True),
        (
            lambda folder: (folder / checkpoints.MANIFEST).write_text("[1]"),
            "complete.json is not a list of files",
            True,
        ),
        (lambda folder: (folder / checkpoints.MANIFEST).write_bytes(b"\xff{"), "complete.json is not a list", True),
    ],
)
def test_damage_is_noticed_and_named(
    tmp_path: Path, harm: Callable[[Path], None], says: str, noticed_by_size: bool
) -> None:
    write(tmp_path, 5)
    folder = write(tmp_path, 10)
    assert checkpoints.damage(folder) is None
    harm(folder)
    assert says in (checkpoints.damage(folder) or "")
    steps = [step for step, _ in checkpoints.complete_checkpoints(tmp_path)]
    assert steps == ([5] if noticed_by_size else [5, 10])


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    places = [write(tmp_path, step) for step in (1, 2, 3, 4, 9)]
    checkpoints.rotate(tmp_path, 2, 4, places[0])
    assert names(tmp_path) == ["checkpoint-9", "checkpoint-4", "checkpoint-1"]  # 9 is of a training that was damaged
    checkpoints.rotate(tmp_path, 1, 4, None)
    assert names(tmp_path) == ["checkpoint-9", "checkpoint-4"]
    checkpoints.rotate(tmp_path, None, 9, None)
    assert names(tmp_path) == ["checkpoint-9", "checkpoint-4"]
