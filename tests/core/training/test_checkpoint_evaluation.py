"""Checkpoints are chosen by how they speak; the measured qualities are given by the test."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from torch import nn

from vtune import pipeline
from vtune.evaluation import MetricSpec
from vtune.recipe import Recipe
from vtune.training.checkpoint_evaluation import EvalResult

SOUND = np.linspace(-0.5, 0.5, 800, dtype=np.float32)


class Told:
    """Gives the checkpoints fixed qualities, one after another, and meanwhile uses random numbers."""

    specs = (
        MetricSpec("quality", "quality: the told one", "high"),
        MetricSpec("wer", "wrong words", "low", "%"),
    )

    def __init__(self, *qualities: float) -> None:
        self.qualities = list(qualities)
        self.weights: list[dict[str, torch.Tensor]] = []

    def __call__(self, model: nn.Module) -> EvalResult:
        torch.rand(3), np.random.rand(3), random.random()
        kept = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
        self.weights.append(kept)
        return EvalResult({"quality": self.qualities.pop(0), "wer": 0.25}, [("01", SOUND, 8_000)])


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Told]:
    def hear(*qualities: float) -> Told:
        evaluator = Told(*qualities)
        monkeypatch.setattr(pipeline, "load_checkpoint_metrics", lambda *_: evaluator)
        return evaluator

    return hear


def facts_of(run: Path) -> dict[str, Any]:
    (result,) = run.glob("checkpoints/*/final/training.json")
    facts: dict[str, Any] = json.loads(result.read_text())
    return facts


def test_the_best_by_ear_is_kept(
    toy: Callable[..., Recipe], heard: Callable[..., Told], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evaluator = heard(0.2, 0.9, 0.4)
    with caplog.at_level("INFO", "vtune"):
        (voice,) = pipeline.run(toy(train={"epochs": 3}))
    facts = facts_of(tmp_path / "runs" / "someone")
    assert (facts["best_step"], facts["steps"], facts["chosen_by"]) == (8, 12, "quality: the told one")
    assert [row["eval_quality"] for row in facts["curve"]] == [0.2, 0.9, 0.4]
    shipped = load_file(voice.path / "adapter_model.safetensors")
    for name, tensor in evaluator.weights[1].items():
        assert torch.equal(shipped[name.replace(".default", "")], tensor)
    assert "Checkpoint of step 8: quality 0.90, wer 25.0 % (1 sentence(s) spoken in " in caplog.text


def test_the_card_shows_the_curve(toy: Callable[..., Recipe], heard: Callable[..., Told]) -> None:
    heard(0.2, 0.9, 0.4)
    (voice,) = pipeline.run(toy(train={"epochs": 3, "validation": 0.3}))
    card = voice.card.read_text()
    assert "it was chosen by quality: the told one" in card
    row = next(line for line in card.splitlines() if line.startswith("| **"))
    assert "| 0.900 | 0.250 | " in row
    assert "| step | quality | wer | validation loss |" in card


def test_what_was_heard_stays(toy: Callable[..., Recipe], heard: Callable[..., Told], tmp_path: Path) -> None:
    heard(0.1, 0.2)
    pipeline.run(toy())
    (logs,) = (tmp_path / "runs" / "someone" / "logs").iterdir()
    sound, rate = soundfile.read(logs / "heard" / "step-000004" / "01.wav", dtype="float32")
    assert rate == 8_000
    assert np.allclose(sound, SOUND, atol=1e-4)
    metrics = [json.loads(line) for line in (logs / "metrics.jsonl").read_text().splitlines()]
    assert [row["eval_quality"] for row in metrics if "eval_quality" in row] == [0.1, 0.2]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logs))
    events.Reload()
    assert [event.step for event in events.Audio("heard/01")] == [4, 8]
    assert [event.value for event in events.Scalars("eval/quality")] == pytest.approx([0.1, 0.2])


def test_listening_changes_nothing(
    toy: Callable[..., Recipe], heard: Callable[..., Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "load_checkpoint_metrics", lambda *_: None)
    (unheard,) = pipeline.run(toy(voice="unheard", lora={"dropout": 0.2}))
    heard(0.1, 0.2)
    (listened,) = pipeline.run(toy(voice="listened", lora={"dropout": 0.2}))
    plain, other = (load_file(folder.path / "adapter_model.safetensors") for folder in (unheard, listened))
    assert all(torch.equal(plain[name], other[name]) for name in plain)


def test_training_stops_when_it_no_longer_sounds_better(
    toy: Callable[..., Recipe], heard: Callable[..., Told], tmp_path: Path
) -> None:
    """Training stops even though the loss still falls."""
    heard(0.5, 0.4, 0.3, 0.9)
    pipeline.run(toy(train={"epochs": 10, "validation": 0.3, "early_stopping": 2}))
    facts = facts_of(tmp_path / "runs" / "someone")
    losses = [row["eval_loss"] for row in facts["curve"]]
    assert len(losses) == 3
    assert losses[2] < losses[0]
    assert facts["best_step"] == facts["curve"][0]["step"]


def test_a_finished_training_is_not_heard_again(
    toy: Callable[..., Recipe], heard: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard(0.1, 0.2)
    pipeline.run(toy())
    monkeypatch.setattr(pipeline, "load_checkpoint_metrics", lambda *_: pytest.fail("it loads a recogniser again"))
    pipeline.run(toy(evaluate={"sentences": ["hello there"], "metrics": ["speed"]}))
