"""Parts of a long recording are trained on as clips, and every second of the recording is in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from vtune.recipe import Recipe

RATE = 8000


@pytest.fixture
def labels(tmp_path: Path) -> Callable[..., Path]:
    """Write a minute of sound, and labels of given times."""

    def write(*rows: tuple[float, float, str]) -> Path:
        root = tmp_path / "source"
        root.mkdir(exist_ok=True)
        soundfile.write(root / "take.wav", np.random.default_rng(0).normal(0, 0.1, 60 * RATE), RATE)
        (root / "take.txt").write_text("".join(f"{start:.6f}\t{end:.6f}\t{text}\n" for start, end, text in rows))
        return root

    return write


def test_each_part_is_a_clip_and_every_second_is_counted(
    labels: Callable[..., Path], recipe: Callable[..., Recipe], prepare: Callable[..., Any]
) -> None:
    root = labels((1, 3, "one two"), (3, 5.5, "three four"), (6, 6.2, "five"), (20, 19, "six"), (59, 70, "seven"))
    made = prepare(recipe(root))
    assert [(line["status"], line["seconds"], line["line"]) for line in made.ledger] == [
        ("train", 2, 1), ("train", 2.5, 2), ("skipped", 0.2, 3), ("skipped", 0, 4), ("skipped", 0, 5),
        ("skipped", 52.8, None),
    ]  # fmt: skip
    reasons = [line["reason"] for line in made.ledger if line["reason"]]
    assert any("0.20 s is shorter than" in reason for reason in reasons)
    assert any("the row ends at 19 s, but starts at 20 s" in reason for reason in reasons)
    assert any("take.wav has 60.00 s; correct the times" in reason for reason in reasons)
    assert any("no row names this part" in reason for reason in reasons)


def test_a_moved_edge_makes_another_clip_and_other_clips_stay(
    labels: Callable[..., Path], recipe: Callable[..., Recipe], prepare: Callable[..., Any]
) -> None:
    first = prepare(recipe(labels((1, 3, "one two"), (10, 12, "three"), (30, 32, "four"))))
    again = prepare(recipe(labels((1, 3, "one two"), (10, 12.5, "three"), (30, 32, "four"))))
    before, after = ({line["audio"] for line in made.ledger if line["status"] == "train"} for made in (first, again))
    assert {Path(name).name for name in before - after} == {"take.wav#t=10,12"}
    assert {Path(name).name for name in after - before} == {"take.wav#t=10,12.5"}
