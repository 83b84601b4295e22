"""A network that FSDP2 divides over two processes: the same training, the same voice, killed and gone on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from extensions import METRICS, extension
from forks import Forks
from safetensors.torch import load_file

from vtune.errors import TrainingError
from vtune.training.sharding import require_shardable

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]

# The toy engine with repeated blocks, a tied weight and a loss that is a view: what FSDP2 treats in a way of its own.
# After its last step, each rank notes how many numbers it holds; it kills itself after the step that a test names.
ENGINE = """
import json, os, signal
import torch
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback
import vtune, vtune_toy
from vtune_toy import *


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, hidden):
        return hidden + torch.tanh(self.inner(hidden))


class Network(vtune_toy.ToyNetwork):
    def __init__(self, width, dropout):
        super().__init__(width, dropout)
        self.layers = nn.ModuleList(Block(width) for _ in range(3))
        self.outer.weight = self.levels.weight
        del self.inner

    def forward(self, letters, before, labels=None, num_items_in_batch=None):
        hidden = self.letters(letters) + self.levels(before)
        for layer in self.layers:
            hidden = layer(hidden)
        logits = self.outer(hidden)
        if labels is None:
            return {"logits": logits}
        loss = nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), reduction="sum")
        count = num_items_in_batch if num_items_in_batch is not None else (labels != -100).sum()
        return {"loss": (loss / count)[None][0], "logits": logits}


vtune_toy.ToyNetwork = Network


def held(tensors):
    return sum((t.to_local() if isinstance(t, DTensor) else t).numel() for t in tensors)


class Watch(TrainerCallback):
    def on_step_end(self, args, state, control, model, optimizer, **kwargs):
        if state.global_step == state.max_steps:
            moments = [kept["exp_avg"] for kept in optimizer.optimizer.state.values()]
            numbers = {"weights": held(model.parameters()), "optimizer": held(moments)}
            with open(f"held{args.process_index}.json", "w") as file:
                json.dump(numbers, file)
        if state.global_step == int(os.environ.get("KILL_AT_STEP", -1)):
            os.kill(os.getpid(), signal.SIGKILL)


@vtune.hookimpl
def trainer_callbacks(recipe):
    return [Watch()]
"""


JUDGED = "evaluate.metrics=[intelligibility, speaker]"
"""Measures with the metrics of the judge and no others."""


@pytest.fixture
def judge(tmp_path: Path) -> str:
    """Measures every checkpoint."""
    return extension(tmp_path / "judge", "judge", METRICS)


@pytest.fixture
def recipe(tmp_path: Path, speech: Callable[..., Path]) -> Path:
    recordings = speech(count=16)
    (tmp_path / "engine.py").write_text(ENGINE)
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"voice: someone\nengine: {tmp_path}/engine.py\ndata: [{{source: {recordings}}}]\n"
        "lora: {targets: [inner]}\n"
        "train: {epochs: 2, batch_size: 2, gradient_accumulation: 2, learning_rate: 1e-2, max_grad_norm: 0.1,\n"
        "        warmup: 0, precision: fp32, device: cpu, validation: 0.2, log_every: 1, save_every: 1, ema: 0.9}\n"
        "evaluate: {sentences: [hello], metrics: [delivery], checkpoint_sentences: 1}\n"
    )
    return path


def results(at: Path) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Return the weights of the voice, and what was logged: losses, norms and the measures of checkpoints."""
    (log,) = (at / "runs/someone/logs").glob("*/metrics.jsonl")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    names = ("loss", "grad_norm", "eval_loss", "eval_quality")
    (weights,) = (path for path in (at / "voices/someone").glob("*.safetensors") if "model" in path.name)
    return load_file(weights), {name: [row[name] for row in rows if name in row] for name in names}


def weights_and_sound(at: Path) -> dict[str, bytes]:
    """Return the files of the voice that hold numbers of the network, or its sound."""
    folder = at / "voices/someone"
    kinds = (".safetensors", ".wav")
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.suffix in kinds}


def run(forks: Forks, at: Path, *arguments: str, judge: str = "", **environment: str) -> str:
    """Run the recipe in a folder, and return what it printed."""
    at.mkdir(exist_ok=True)
    code, printed = forks.run(at, "run", *arguments, path=judge, **environment)
    assert code == 0, printed
    return printed


@pytest.mark.parametrize("method", ["full", pytest.param("lora", marks=pytest.mark.proof)])
def test_two_processes_with_a_divided_network_learn_what_one_process_learns(
    forks: Forks, tmp_path: Path, recipe: Path, method: str
) -> None:
    shared = (str(recipe), f"train.method={method}", "train.validation=0", "evaluate.checkpoint_sentences=0")
    run(forks, tmp_path / "one", *shared, "train.batch_size=4")
    printed = run(forks, tmp_path / "two", *shared, "train.sharding=fsdp2", "--launch", "2")
    assert "FSDP2 divides the network over 2 processes, by 3 repeated blocks" in printed
    (weights, logged), (divided, divided_logged) = results(tmp_path / "one"), results(tmp_path / "two")
    assert divided.keys() == weights.keys()
    for name, value in weights.items():
        assert (value - divided[name]).abs().max() <= 1e-3 * value.abs().max(), name
    assert len(logged["loss"]) == 4
    for name in ("loss", "grad_norm"):
        assert divided_logged[name] == pytest.approx(logged[name], rel=1e-3), name
    undivided = json.loads((tmp_path / "one/held0.json").read_text())
    pieces = [json.loads((tmp_path / f"two/held{rank}.json").read_text()) for rank in (0, 1)]
    for name, count in undivided.items():
        assert sum(piece[name] for piece in pieces) == count, name
        assert max(piece[name] for piece in pieces) <= 0.6 * count, name


def test_averages_validation_and_measured_checkpoints_are_those_of_whole_copies(
    forks: Forks, tmp_path: Path, recipe: Path, judge: str
) -> None:
    """A validation computes with averaged weights between two steps that must not see them."""
    shared = (str(recipe), "train.method=full", JUDGED, "--launch", "2")
    run(forks, tmp_path / "copies", *shared, judge=judge)
    run(forks, tmp_path / "divided", *shared, "train.sharding=fsdp2", judge=judge)
    (weights, logged), (divided, divided_logged) = results(tmp_path / "copies"), results(tmp_path / "divided")
    for name, value in weights.items():
        assert (value - divided[name]).abs().max() <= 1e-5 * value.abs().max(), name
    for name, values in logged.items():
        assert values, name
        assert divided_logged[name] == pytest.approx(values, rel=1e-5), name


@pytest.mark.parametrize("step", [2, pytest.param(3, marks=pytest.mark.proof)])
def test_a_killed_divided_training_goes_on_bit_by_bit(
    forks: Forks, tmp_path: Path, recipe: Path, judge: str, step: int
) -> None:
    """Two steps an epoch and two epochs: killed after the last step of the first epoch, and within the second one."""
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    divided = (str(recipe), "train.method=full", JUDGED, "train.sharding=fsdp2", "--launch", "2")
    run(forks, straight, *divided, judge=judge)
    killed.mkdir()
    code, _ = forks.run(killed, "run", *divided, path=judge, KILL_AT_STEP=str(step))
    assert code != 0
    assert not (killed / "voices").exists()
    assert f"checkpoint-{step - 1}" in run(forks, killed, *divided, judge=judge)
    assert results(killed)[1] == results(straight)[1]
    assert weights_and_sound(killed) == weights_and_sound(straight)


PARTS = """

@vtune.hookimpl
def training_parts(base, model):
    return {"critic": vtune.TrainingPart(nn.Linear(1, 1))}
"""
STEP = """

@vtune.hookimpl
def training_step(base, model, batch, step):
    step.backward(model(**batch)["loss"])
"""
QUANTISED = """

class Quantised(Network):
    def __init__(self, width, dropout):
        super().__init__(width, dropout)
        self.codes = nn.Parameter(torch.zeros(2, dtype=torch.int8), requires_grad=False)


vtune_toy.ToyNetwork = Quantised
"""


@pytest.mark.parametrize(
    ("engine", "change", "message"),
    [
        ("", "train.optimizer=adafactor", "adafactor cannot step a divided tensor; take train.optimizer adamw_torch"),
        (PARTS, "", "and this engine has training_parts; leave train.sharding at none"),
        (STEP, "", "and this engine has training_step; leave train.sharding at none"),
        (QUANTISED, "", "a quantised base cannot be divided; take quantization none, or leave train.sharding at none"),
    ],
    ids=["optimizer", "parts", "step", "quantised"],
)  # fmt: skip
def test_what_cannot_be_divided_is_refused_in_one_line(
    forks: Forks, tmp_path: Path, recipe: Path, engine: str, change: str, message: str
) -> None:
    (tmp_path / "engine.py").write_text(ENGINE + engine)
    changes = ["train.sharding=fsdp2", *change.split()]
    code, printed = forks.run(tmp_path, "train", str(recipe), *changes, "--launch", "2")
    assert (code, printed.count("Error: ")) == (1, 1), printed
    assert message in " ".join(printed.split()), printed
    assert "train.sharding: " in printed
    assert "Traceback" not in printed
    assert not list(tmp_path.glob("runs/someone/checkpoints/*/*/*.safetensors"))


def test_half_precision_with_scaled_losses_cannot_be_divided() -> None:
    """A CPU refuses fp16 by itself, before the processes could disagree about an overflow."""
    asked: dict[str, Any] = {"optimizer": "adamw_torch", "quantised": False, "beside": None}
    for precision in ("fp32", "bf16"):
        require_shardable(precision=precision, **asked)
    with pytest.raises(TrainingError) as error:
        require_shardable(precision="fp16", **asked)
    assert str(error.value) == (
        "train.sharding: the processes would scale their losses differently under fp16; take train.precision bf16 or "
        "fp32, or leave train.sharding at none, which keeps the whole network in each process"
    )


@pytest.mark.proof
def test_the_shipped_configuration_of_accelerate_starts_a_divided_training(tmp_path: Path, recipe: Path) -> None:
    command = [
        sys.executable, "-m", "accelerate.commands.launch",
        "--config_file", str(ROOT / "recipes/accelerate/fsdp2.yaml"), "--main_process_port", "0",
        "-m", "vtune_cli", "train", str(recipe), "train.sharding=fsdp2", "train.max_steps=2", "train.validation=0",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    pieces = [json.loads((tmp_path / f"held{rank}.json").read_text())["optimizer"] for rank in (0, 1)]
    assert max(pieces) <= 0.6 * sum(pieces)
