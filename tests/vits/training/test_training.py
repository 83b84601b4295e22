"""Trainings of a small random voice: the loop, both optimizers, resuming, and what becomes of the parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from small_voice import HIGH, small_network, small_settings, write_transformers_folder
from transformers import TrainerCallback

from vtune import pipeline
from vtune.engines import load_recipe
from vtune.recipe import Recipe

DIGITS = {"0": "no", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five"}


class Killed(Exception):
    pass


class Kill(TrainerCallback):  # type: ignore[misc]
    """Ends the training at a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self._step:
            raise Killed


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a base of a few thousand numbers that has a posterior encoder."""
    folder = tmp_path_factory.mktemp("base")
    write_transformers_folder(
        folder,
        small_network(small_settings(hidden_size=8, layers=1, flow_steps=2, vocoder=replace(HIGH, first_channels=16))),
    )
    return folder


@pytest.fixture
def recipe(base: Path, tmp_path: Path, speech: Callable[..., Path]) -> Callable[..., Recipe]:
    recordings = speech(count=6, rate=22_050, shortest=0.9)

    def make(name: str, **train: Any) -> Recipe:
        settings: dict[str, Any] = {
            "voice": "someone",
            "engine": "vits",
            "engine_options": {"base_model": str(base), "discriminator_narrowing": 16, "discriminators": "both",
                               "lexicon": DIGITS},
            "data": [{"source": str(recordings)}],
            "folders": {"runs": str(tmp_path / name / "runs"), "voices": str(tmp_path / name / "voices")},
            "evaluate": {"clips": 0, "checkpoint_sentences": 0, "sentences": []},
            "lora": {"rank": 2, "alpha": 4},
            "train": {
                "epochs": 2, "batch_size": 2, "learning_rate": 1e-3, "validation": 0, "log_every": 1, "warmup": 0,
                "precision": "fp32", "save_every": 2, **train,
            },
        }  # fmt: skip
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(settings, sort_keys=False))
        return load_recipe(path)

    return make


def train(recipe: Recipe, *callbacks: Any) -> Path:
    """Train and return the folder of the training."""
    pipeline.run(recipe, until_trained=True, callbacks=callbacks)
    (training,) = (recipe.folders.runs / "someone" / "checkpoints").iterdir()
    return training


def tensors_of(training: Path) -> dict[str, torch.Tensor]:
    """Return everything that the last checkpoint and the finished training hold, with the optimizers' moments."""
    files = [*sorted((training / "checkpoint-6").glob("*.safetensors")), *(training / "final").glob("*.safetensors")]
    tensors = {f"{file.parent.name}/{file.name}:{name}": t for file in files for name, t in load_file(file).items()}
    for file in ("optimizer.pt", "further_optimizers.pt"):
        tensors |= _flat(torch.load(training / "checkpoint-6" / file), file)
    return tensors


def _flat(tree: Any, name: str) -> dict[str, torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return {name: tree}
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list | tuple) else ()
    return {key: tensor for index, value in pairs for key, tensor in _flat(value, f"{name}/{index}").items()}


def test_a_killed_training_goes_on_bit_by_bit_with_both_optimizers(recipe: Callable[..., Recipe]) -> None:
    straight = tensors_of(train(recipe("straight")))
    killed = recipe("killed")
    with pytest.raises(Killed):
        train(killed, Kill(3))
    resumed = tensors_of(train(killed))

    assert straight.keys() == resumed.keys()
    assert [name for name in straight if not torch.equal(straight[name], resumed[name])] == []
    parts = {name.partition(":")[2].partition(".")[0] for name in straight if "parts.safetensors" in name}
    assert parts == {"posterior_encoder", "discriminator", "spectrogram_discriminator"}
    for judge in ("discriminator", "spectrogram_discriminator"):
        assert any(f"further_optimizers.pt/{judge}/optimizer/state" in name for name in straight)
    lines = [json.loads(line) for line in next((killed.folders.runs / "someone/logs").glob("*/metrics.jsonl")).open()]
    expected = {"loss", "kl", "mel", "stft", "discriminator", "spectrogram_discriminator", "adversarial", "features"}
    assert not any("duration" in line for line in lines if "eval_loss" not in line)  # they do not learn
    assert all(expected <= line.keys() for line in lines if "loss" in line and "eval_loss" not in line)


def test_every_weight_can_be_trained(recipe: Callable[..., Recipe], base: Path) -> None:
    """Also slowly: the text encoder and the durations have a rate of their own."""
    rates = {"text_encoder": 1e-6, "duration_predictor": 1e-6}

    training = train(recipe("full", method="full", epochs=1, learning_rates=rates))

    before, after = load_file(base / "model.safetensors"), load_file(training / "final/model.safetensors")
    moved = {
        name: float((after[name] - before[name]).abs().max())
        for name in after
        if name in before and before[name].shape == after[name].shape
    }
    assert 0 < max(value for name, value in moved.items() if name.startswith(tuple(rates))) < 1e-5
    assert max(value for name, value in moved.items() if name.startswith("flow")) > 1e-4
