"""A run that scores its voice: held-out clips, takes, files and the page."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vtune import pipeline
from vtune.errors import DataError
from vtune.recipe import Recipe
from vtune.runtime.paths import VoiceFolder

Speech = Callable[..., Path]


@pytest.fixture
def held(speech: Speech) -> str:
    return str(speech("held", count=5, first=50))


def scored(folder: VoiceFolder) -> dict[str, Any]:
    return {one["figure"]["name"]: one for one in json.loads(folder.scores.read_text())["scores"]}


def test_a_source_that_is_held_out_is_spoken_again(toy: Callable[..., Recipe], held: str) -> None:
    (folder,) = pipeline.run(toy(evaluate={"source": held, "clips": 3, "seeds": 2, "seed": 4}))
    kept = json.loads(folder.scores.read_text())
    # Spread over the five there are.
    assert kept["texts"] == [f"this is sentence number {number}" for number in (50, 51, 53)]
    assert kept["seeds"] == [4, 5]
    # Two systems, and each recording once.
    assert len(kept["takes"]) == 3 * 2 * 2 + 3
    card = folder.card.read_text()
    assert "3 sentences that the voice was not trained on, each 2 times" in card
    length = scored(folder)["length"]
    assert f"| {length['figure']['title']} | {length['means']['voice']:.2f} |" in card


def test_the_page_is_whole_in_itself(toy: Callable[..., Recipe], held: str) -> None:
    (folder,) = pipeline.run(toy(evaluate={"source": held, "clips": 2}))
    page = folder.page.read_text()
    assert page.count("<audio") == 2 * 3
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "Content-Security-Policy" in page


def test_without_a_source_the_validation_clips_are(toy: Callable[..., Recipe]) -> None:
    (folder,) = pipeline.run(toy(train={"validation": 0.4}))
    texts = json.loads(folder.scores.read_text())["texts"]
    ledger = (folder.path.parents[1] / "runs" / "someone" / "ledger.jsonl").read_text().splitlines()
    held = [row for row in map(json.loads, ledger) if row["status"] == "validation"]
    assert sorted(texts) == sorted(row["text"] for row in held)


def test_nothing_held_out_is_said_and_nothing_written(
    toy: Callable[..., Recipe], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "vtune"):
        (folder,) = pipeline.run(toy())
    assert "scores: not measured: no clip is held out" in caplog.text
    assert not folder.scores.exists()
    assert not folder.page.exists()


def test_clips_that_are_trained_on_are_no_test(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = toy(evaluate={"source": str(tmp_path / "speech")})
    with pytest.raises(DataError, match=r"evaluate.source: .*clip_000.wav is also among the clips of `data`"):
        pipeline.run(recipe)
    assert not (tmp_path / "runs" / "someone" / "checkpoints").exists()


def test_a_source_that_is_not_there_ends_the_run_before_it_trains(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^evaluate.source: "):
        pipeline.run(toy(evaluate={"source": "nowhere"}))
    assert not (tmp_path / "runs" / "someone" / "checkpoints").exists()


def test_a_fully_tuned_voice_is_scored_alone(toy: Callable[..., Recipe], held: str) -> None:
    (folder,) = pipeline.run(toy(evaluate={"source": held, "clips": 2}, train={"method": "full"}))
    assert json.loads(folder.scores.read_text())["systems"] == ["voice"]
    assert set(scored(folder)["length"]["means"]) == {"voice"}


def test_other_settings_of_evaluation_score_anew_and_train_nothing(
    toy: Callable[..., Recipe], held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.run(toy(evaluate={"source": held, "clips": 2}))
    monkeypatch.setattr("vtune.training.train._run", lambda *_: pytest.fail("it trains again"))
    (folder,) = pipeline.run(toy(evaluate={"source": held, "clips": 3}))
    assert len(json.loads(folder.scores.read_text())["texts"]) == 3


def test_trained_words_stand_beside(toy: Callable[..., Recipe], held: str) -> None:
    (folder,) = pipeline.run(toy(evaluate={"source": held, "clips": 2, "trained": 3}))
    kept = json.loads(folder.scores.read_text())
    assert kept["systems"] == ["voice", "base", "voice on trained words"]
    trained = [row for row in kept["takes"] if row["system"] == "voice on trained words"]
    assert {row["text"] for row in trained} <= {f"this is sentence number {number}" for number in range(8)}
    assert len(trained) == 3
    assert len(kept["texts"]) == 2
