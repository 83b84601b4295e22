"""Parts beside the adapter, several losses and optimizers, averages and learning rates, with an engine of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from adversarial import write_engine, write_recipe
from safetensors.torch import load_file
from transformers import TrainerCallback

from vtune import pipeline
from vtune.engines import load_recipe
from vtune.engines.single_file import use_engine_file
from vtune.recipe import Recipe

SIMULTANEOUS = {"engine_options": {"mode": "simultaneous"}}
WHOLE = {"engine_options": {"pairs": "whole"}}


class Killed(Exception):
    pass


class Kill(TrainerCallback):  # type: ignore[misc]
    """Ends the training at a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self._step:
            raise Killed


class Watch(TrainerCallback):  # type: ignore[misc]
    """Notes the optimizer and the weights of the adapter after each step."""

    def __init__(self) -> None:
        self.groups: list[tuple[float, int]] = []
        self.weights: list[dict[str, torch.Tensor]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        groups = kwargs["optimizer"].param_groups
        self.groups = [(group["lr"], len(group["params"])) for group in groups if group["params"]]
        named = kwargs["model"].named_parameters()
        self.weights.append({name: p.detach().clone() for name, p in named if "lora_" in name})


@pytest.fixture
def adversarial(tmp_path: Path, speech: Callable[..., Path]) -> Callable[..., Recipe]:
    """Load a recipe of the engine in a folder, with changes of its text."""
    recordings = speech(count=8)

    def make(name: str = "one", *changes: tuple[str, str], **sections: Any) -> Recipe:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        engine = write_engine(folder, *changes)
        use_engine_file(engine)
        return load_recipe(write_recipe(folder, engine, recordings, **sections))

    return make


def train(recipe: Recipe, *callbacks: Any) -> Path:
    """Train and return the folder of the training."""
    pipeline.run(recipe, until_trained=True, callbacks=callbacks)
    (training,) = (recipe.folders.runs / "someone" / "checkpoints").iterdir()
    return training


def last(training: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of the adapter and the parts in the newest checkpoint, and in ``final``."""
    checkpoint = max(training.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    files = [*sorted(checkpoint.glob("*.safetensors")), training / "final/adapter_model.safetensors"]
    return {f"{file.parent.name}/{file.name}:{name}": t for file in files for name, t in load_file(file).items()}


def lines(recipe: Recipe) -> list[dict[str, Any]]:
    (file,) = (recipe.folders.runs / "someone" / "logs").glob("*/metrics.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_parts_learn_and_stay_out_of_the_voice(adversarial: Callable[..., Recipe]) -> None:
    recipe = adversarial()
    training = train(recipe)
    tensors = load_file(training / "checkpoint-8/parts.safetensors")
    before = load_file(training / "checkpoint-4/parts.safetensors")
    assert {name.partition(".")[0] for name in tensors} == {"posterior", "discriminator"}
    assert all(not torch.equal(tensors[name], before[name]) for name in tensors)
    assert {file.name for file in (training / "final").iterdir()} == {
        "adapter_model.safetensors", "adapter_config.json", "training.json", "complete.json",
    }  # fmt: skip
    assert all(".lora_" in name for name in load_file(training / "final/adapter_model.safetensors"))
    metrics = lines(recipe)
    assert {"loss", "verdict", "adversarial", "clips_per_second"} <= metrics[0].keys()
    assert metrics[-1]["loss"] < metrics[0]["loss"]


@pytest.mark.parametrize(
    ("name", "kill", "sections"),
    [
        ("alternating", 5, {"train": {"save_every": 3, "ema": 0.9, "learning_rates": {"posterior": 3e-3}}}),
        ("simultaneous", 7, {**SIMULTANEOUS, "train": {"save_every": 2, "batch_size": 1, "gradient_accumulation": 2}}),
    ],
)
def test_a_killed_training_of_several_optimizers_goes_on_bit_by_bit(
    adversarial: Callable[..., Recipe], name: str, kill: int, sections: dict[str, Any]
) -> None:
    straight = train(adversarial(name, **sections))
    recipe = adversarial(f"killed-{name}", **sections)
    with pytest.raises(Killed):
        pipeline.run(recipe, until_trained=True, callbacks=[Kill(kill)])
    resumed = train(recipe)
    first, second = last(straight), last(resumed)
    assert first.keys() == second.keys()
    assert [key for key in first if not torch.equal(first[key], second[key])] == []
    for file in ("optimizer.pt", "further_optimizers.pt"):
        (one, other) = (torch.load(folder / "checkpoint-8" / file) for folder in (straight, resumed))
        assert_same(one, other)


def assert_same(one: Any, other: Any) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    else:
        assert one == other
