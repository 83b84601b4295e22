"""A training is resumed: from which checkpoint, and with which state."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from vtune import pipeline
from vtune.recipe import Recipe
from vtune.training import checkpoints


class Killed(Exception):
    pass


class Kill(TrainerCallback):  # type: ignore[misc]
    """Ends the process's part at a step, or after the last step."""

    def __init__(self, step: int | None) -> None:
        self._step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self._step:
            raise Killed

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._step is None:
            raise Killed


@pytest.fixture
def stopped(toy: Callable[..., Recipe], tmp_path: Path) -> Callable[..., tuple[Recipe, Path]]:
    """Run a training of 16 steps with a checkpoint every four steps, of which two are kept, and kill it at a step."""

    def make(step: int | None = 14, **train: Any) -> tuple[Recipe, Path]:
        recipe = toy(train={"epochs": 4, **train}, lora={"dropout": 0.1})
        with pytest.raises(Killed):
            pipeline.run(recipe, callbacks=[Kill(step)])
        (training,) = (tmp_path / "runs/someone/checkpoints").iterdir()
        return recipe, training

    return make


def final(training: Path) -> tuple[bytes, dict[str, Any]]:
    facts = json.loads((training / "final/training.json").read_text())
    return (training / "final/adapter_model.safetensors").read_bytes(), {**facts, "seconds": None}


def reseal(checkpoint: Path) -> None:
    """Write a new manifest, so that a change is not noticed."""
    (checkpoint / checkpoints.MANIFEST).unlink()
    checkpoints.seal(checkpoint)


def edit_adapter(checkpoint: Path) -> None:
    tensors = load_file(checkpoint / "adapter_model.safetensors")
    next(iter(tensors.values()))[0, 0] = float("nan")
    save_file(tensors, checkpoint / "adapter_model.safetensors", metadata={"format": "pt"})
    reseal(checkpoint)


def edit(name: str, change: Callable[[Any], None]) -> Callable[[Path], None]:
    def harm(checkpoint: Path) -> None:
        state = torch.load(checkpoint / name, weights_only=False)
        change(state)
        torch.save(state, checkpoint / name)
        reseal(checkpoint)

    return harm


def flip(name: str) -> Callable[[Path], None]:
    def harm(checkpoint: Path) -> None:
        path = checkpoint / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)

    return harm


def zero(checkpoint: Path) -> None:
    path = checkpoint / "scheduler.pt"
    path.write_bytes(bytes(path.stat().st_size))


HARMS: dict[str, tuple[Callable[[Path], None], str]] = {
    "adapter, a byte": (flip("adapter_model.safetensors"), "adapter_model.safetensors has changed"),
    "adapter, NaN": (edit_adapter, "holds values that are not finite numbers"),
    "optimizer, a byte": (flip("optimizer.pt"), "optimizer.pt has changed"),
    "optimizer, NaN": (
        edit("optimizer.pt", lambda state: state["state"][0]["exp_avg"].fill_(float("nan"))),
        "optimizer.pt cannot be used: exp_avg holds values that are not finite numbers",
    ),
    "optimizer, another": (
        edit("optimizer.pt", lambda state: state["param_groups"][0]["params"].pop()),
        "optimizer.pt cannot be used: it belongs to other tensors",
    ),
    "scheduler, zeros": (zero, "scheduler.pt has changed"),
    "scheduler, another": (edit("scheduler.pt", lambda state: state.pop("last_epoch")), "scheduler.pt cannot be used"),
    "random state, another": (
        edit("rng_state.pth", lambda state: state.update(cpu=state["cpu"][:100])), "rng_state.pth cannot be used"
    ),
    "numpy's state, another": (
        edit("rng_state.pth", lambda state: state.update(numpy=("MT19937", np.zeros(3, np.uint32), 1, 0, 0.0))),
        "rng_state.pth cannot be used",
    ),
    "state, cut off": (
        lambda folder: (folder / "trainer_state.json").write_bytes((folder / "trainer_state.json").read_bytes()[:50]),
        "trainer_state.json has 50 bytes instead of",
    ),
}  # fmt: skip


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    stopped: Callable[..., tuple[Recipe, Path]], caplog: Any
) -> None:
    """Each kind of damage is told in one line that names the file; what is trained again is the same, bit for bit."""
    recipe, training = stopped()
    kept = {
        path.name: {p.name: p.read_bytes() for p in path.iterdir()} for path in checkpoints.all_checkpoints(training)
    }
    assert list(kept) == ["checkpoint-12", "checkpoint-8"]
    results = []
    for harm, says in [(lambda _: None, None), *HARMS.values()]:
        for folder in [*checkpoints.all_checkpoints(training), *training.glob("final")]:
            shutil.rmtree(folder)
        for name, files in kept.items():
            (training / name).mkdir()
            for file, content in files.items():
                (training / name / file).write_bytes(content)
        harm(training / "checkpoint-12")
        caplog.clear()
        with caplog.at_level(logging.INFO, "vtune.training"):
            pipeline.run(recipe, until_trained=True)
        warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        goes_on = [record.getMessage() for record in caplog.records if "resuming from" in record.getMessage()]
        if says is None:
            assert (warned, goes_on) == ([], [f"training: resuming from {training / 'checkpoint-12'}"])
        else:
            (line,) = warned
            assert says in line
            assert line.startswith(f"training: {training / 'checkpoint-12'} cannot be used: ")
            assert line.endswith("; trying the earlier checkpoint-8")
            assert "\n" not in line
            assert goes_on == [f"training: resuming from {training / 'checkpoint-8'}"]
        results.append(final(training))
    assert all(result == results[0] for result in results)


def test_without_a_sound_checkpoint_a_training_starts_anew_and_says_so(
    stopped: Callable[..., tuple[Recipe, Path]], caplog: Any
) -> None:
    recipe, training = stopped()
    for checkpoint in checkpoints.all_checkpoints(training):
        flip("optimizer.pt")(checkpoint)
    with caplog.at_level(logging.INFO, "vtune.training"):
        pipeline.run(recipe, until_trained=True)
    log_text = caplog.text
    assert (
        "checkpoint-8 cannot be used: optimizer.pt has changed since it was written; there is no earlier one"
        in log_text
    )
    assert "resuming from" not in log_text
    assert final(training)[1]["steps"] == 16


def test_a_damaged_finished_adapter_is_made_again_from_its_checkpoints(
    stopped: Callable[..., tuple[Recipe, Path]], caplog: Any
) -> None:
    recipe, training = stopped(None)
    pipeline.run(recipe, until_trained=True)
    before = final(training)
    flip("adapter_model.safetensors")(training / "final")
    with caplog.at_level(logging.INFO, "vtune.training"):
        pipeline.run(recipe, until_trained=True)
    assert "final cannot be used: adapter_model.safetensors has changed since it was written" in caplog.text
    assert final(training) == before


def test_the_best_checkpoint_is_needed_where_it_becomes_the_voice(
    stopped: Callable[..., tuple[Recipe, Path]], caplog: Any
) -> None:
    recipe, training = stopped(
        None, validation=0.3, learning_rate=0.5, scheduler="constant", early_stopping=2, epochs=9, save_limit=9
    )
    best = json.loads((checkpoints.all_checkpoints(training)[0] / "loop_state_0.json").read_text())["best_checkpoint"]
    assert best != checkpoints.all_checkpoints(training)[0].name
    flip("adapter_model.safetensors")(training / best)
    with caplog.at_level(logging.INFO, "vtune.training"):
        pipeline.run(recipe, until_trained=True)
    assert f"the best checkpoint before it, {best}, is damaged: adapter_model.safetensors has changed" in caplog.text
    assert final(training)[1]["best_step"] == checkpoints.step_of(training / best)


@pytest.mark.parametrize("harm", ["not JSON", "a list", "FIFO"])
def test_a_damaged_identity_of_another_training_blocks_nobody(
    stopped: Callable[..., tuple[Recipe, Path]], toy: Callable[..., Recipe], harm: str, caplog: Any
) -> None:
    _, training = stopped(2)
    identity = training / "identity.json"
    if harm == "FIFO":
        identity.unlink()
        os.mkfifo(identity)
    else:
        identity.write_text("[1, 2]" if harm == "a list" else "{never closed")
    with caplog.at_level(logging.INFO, "vtune.training"):
        pipeline.run(toy(train={"epochs": 1}), until_trained=True)
    assert f"not resuming {training}: its identity.json cannot be read" in caplog.text


class Counter(TrainerCallback, ExportableState):  # type: ignore[misc]
    """A callback as an extension may add it: counts steps, and can be restored."""

    def __init__(self, unit: str = "steps") -> None:
        self.unit, self.count = unit, 0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.count += 1

    def state(self) -> dict[str, Any]:
        return {"args": {"unit": self.unit}, "attributes": {"count": self.count}}


def test_callbacks_that_can_export_their_state_get_it_back(toy: Callable[..., Recipe]) -> None:
    recipe = toy(train={"epochs": 4})
    first, second = Counter(), Counter("more")
    with pytest.raises(Killed):
        pipeline.run(recipe, callbacks=[first, second, Kill(14)])
    first, second = Counter(), Counter("more")
    pipeline.run(recipe, callbacks=[first, second], until_trained=True)
    assert (first.count, second.count, second.unit) == (16, 16, "more")


def test_seconds_add_up_over_a_stop(stopped: Callable[..., tuple[Recipe, Path]]) -> None:
    recipe, training = stopped(None)
    newest = checkpoints.all_checkpoints(training)[0]
    path = newest / "loop_state_0.json"
    state = json.loads(path.read_text())
    assert (state["meter"]["clips"], state["ended"]) == (32, True)
    state["meter"]["seconds"] += 1000
    path.write_text(json.dumps(state))
    reseal(newest)
    pipeline.run(recipe, until_trained=True)
    facts = json.loads((training / "final/training.json").read_text())
    assert facts["seconds"] > 1000
    assert facts["loss"] > 0
