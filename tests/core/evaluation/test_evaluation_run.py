"""A run scores its voice: held-out clips, utterances, files and the page."""

from __future__ import annotations

import importlib
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vtune import pipeline
from vtune.engines import load_engine
from vtune.errors import DataError
from vtune.evaluation import TestSet, evaluate
from vtune.recipe import Recipe
from vtune.runtime.paths import VoiceFolder
from vtune.types import Clip

Speech = Callable[..., Path]


@pytest.fixture
def held(speech: Speech) -> str:
    return str(speech("held", count=5, first=50))


def scored(folder: VoiceFolder) -> dict[str, Any]:
    return {score["spec"]["name"]: score for score in json.loads(folder.scores.read_text())["scores"]}


def test_a_source_that_is_held_out_is_spoken_again(toy: Callable[..., Recipe], held: str) -> None:
    (folder,) = pipeline.run(toy(evaluate={"source": held, "clips": 3, "seeds": 2, "seed": 4}))
    kept = json.loads(folder.scores.read_text())
    # Spread over the five there are.
    assert kept["texts"] == [f"this is sentence number {number}" for number in (50, 51, 53)]
    assert kept["seeds"] == [4, 5]
    # Two systems, and each recording once.
    assert len(kept["utterances"]) == 3 * 2 * 2 + 3
    card = folder.card.read_text()
    assert "3 sentences that the voice was not trained on, each 2 times" in card
    length = scored(folder)["duration_ratio"]
    assert f"| {length['spec']['title']} | {length['means']['voice']:.2f} |" in card


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


@pytest.mark.parametrize(
    ("evaluation", "train", "held", "reason"),
    [
        ({"clips": 0}, {"validation": 0.3}, 3, "evaluate.clips is 0"),
        ({}, {"validation": 0}, 0, "train.validation is 0, so no clip is held out"),
        ({}, {"validation": 0.3}, 0, "no clip of the voice is held out"),
        ({}, {"validation": 0.3}, 3, "the held-out clips have no words that can be spoken"),
    ],
)
def test_the_reason_why_nothing_is_measured_is_the_true_one(
    toy: Callable[..., Recipe],
    clip: Callable[..., Clip],
    evaluation: dict[str, int],
    train: dict[str, float],
    held: int,
    reason: str,
) -> None:
    test_set = TestSet([], [clip(f"... {number}") for number in range(held)])
    result = evaluate(load_engine("toy"), [], test_set, toy(evaluate=evaluation, train=train))
    assert result.scores.skipped["scores"].startswith(reason)


def test_nothing_held_out_is_said_and_nothing_written(
    toy: Callable[..., Recipe], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "vtune"):
        (folder,) = pipeline.run(toy())
    assert "Not measured: scores: train.validation is 0, so no clip is held out" in caplog.text
    assert not folder.scores.exists()
    assert not folder.page.exists()


def test_clips_that_are_trained_on_are_no_test(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = toy(evaluate={"source": str(tmp_path / "speech")})
    with pytest.raises(DataError, match=r"evaluate.source: .*clip_000.wav is also a clip of `data`"):
        pipeline.run(recipe)
    assert not (tmp_path / "runs" / "someone" / "checkpoints").exists()


def test_a_source_that_is_not_there_ends_the_run_before_it_trains(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^evaluate.source: "):
        pipeline.run(toy(evaluate={"source": "nowhere"}))
    assert not (tmp_path / "runs" / "someone" / "checkpoints").exists()


def test_a_fully_tuned_voice_is_scored_alone(toy: Callable[..., Recipe], held: str) -> None:
    (folder,) = pipeline.run(toy(evaluate={"source": held, "clips": 2}, train={"method": "full"}))
    assert json.loads(folder.scores.read_text())["systems"] == ["voice"]
    assert set(scored(folder)["duration_ratio"]["means"]) == {"voice"}


def test_other_settings_of_evaluation_score_anew_and_train_nothing(
    toy: Callable[..., Recipe], held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.run(toy(evaluate={"source": held, "clips": 2}))
    monkeypatch.setattr(
        importlib.import_module("vtune.training.train"), "_run", lambda *_: pytest.fail("it trains again")
    )
    (folder,) = pipeline.run(toy(evaluate={"source": held, "clips": 3}))
    assert len(json.loads(folder.scores.read_text())["texts"]) == 3


def test_trained_words_stand_beside(toy: Callable[..., Recipe], held: str) -> None:
    (folder,) = pipeline.run(toy(evaluate={"source": held, "clips": 2, "train_sentences": 3}))
    kept = json.loads(folder.scores.read_text())
    assert kept["systems"] == ["voice", "base", "voice on training sentences"]
    trained = [row for row in kept["utterances"] if row["system"] == "voice on training sentences"]
    assert {row["text"] for row in trained} <= {f"this is sentence number {number}" for number in range(8)}
    assert len(trained) == 3
    assert len(kept["texts"]) == 2
