"""A run checks its clips: the findings are logged and written to a file, and unchanged clips are not checked again."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vtune import pipeline
from vtune.curation.doctor import check_run as inspection
from vtune.recipe import Recipe


def examined(tmp_path: Path) -> dict[str, object]:
    kept: dict[str, object] = json.loads((tmp_path / "runs" / "someone" / "examination.json").read_text())
    return kept


def test_what_is_wrong_is_said_before_the_training(
    toy: Callable[..., Recipe], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = toy()
    clips = tmp_path / "speech" / "clips"
    (clips / "clip_004.wav").write_bytes((clips / "clip_003.wav").read_bytes())
    with caplog.at_level(logging.INFO, "vtune"):
        pipeline.run(recipe)
    log_text = caplog.text
    assert "8 clips checked: " in log_text
    assert log_text.index("8 clips checked: ") < log_text.index("Trainable parameters")
    (source,) = examined(tmp_path)["sources"]
    twice = [finding for finding in source["findings"] if finding["check"] == "two-texts"]
    assert [Path(clip["audio"]).name for clip in (*twice, *twice[0]["others"])] == ["clip_003.wav", "clip_004.wav"]
    # A person has to say which words are right; until then, the clip is left out, with its reason.
    ledger = (tmp_path / "runs" / "someone" / "ledger.jsonl").read_text()
    assert json.loads(next(line for line in ledger.splitlines() if "clip_004" in line))["status"] == "skipped"


def test_the_same_clips_are_looked_over_once(
    toy: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.run(toy())
    monkeypatch.setattr(inspection, "examine", lambda *_, **__: pytest.fail("examined again"))
    pipeline.run(toy(train={"epochs": 3}))


def test_clips_that_changed_are_looked_over_again(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    pipeline.run(toy())
    before = examined(tmp_path)["key"]
    soundfile.write(tmp_path / "speech" / "clips" / "clip_000.wav", np.full(6_000, 0.1), 8_000)
    pipeline.run(toy())
    assert examined(tmp_path)["key"] != before


def test_it_can_be_left_out(toy: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "examine", lambda *_, **__: pytest.fail("examined"))
    pipeline.run(toy(prepare={"examine": False}))


def test_a_damaged_note_of_the_last_time_is_no_obstacle(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    pipeline.run(toy())
    note = tmp_path / "runs" / "someone" / "examination.json"
    note.write_text("[")
    pipeline.run(toy())
    assert examined(tmp_path)["key"]
