from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import vtune_toy
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file
from transformers import Trainer, TrainingArguments

from vtune import pipeline
from vtune.engines import Engine, load_recipe, use_engine_file
from vtune.errors import EngineError, RecipeError, TrainingError
from vtune.recipe import Recipe, TrainRecipe
from vtune.runtime.device import is_out_of_memory
from vtune.training.train import _layer_name

FOLDERS = ("runs", "voices")


def metrics(tmp_path: Path) -> list[dict[str, Any]]:
    (file,) = (tmp_path / "runs" / "someone" / "logs").glob("*/metrics.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_loss_falls_and_every_step_is_a_line_of_metrics(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    pipeline.run(toy(train={"epochs": 6}))
    lines = metrics(tmp_path)
    losses = [line["loss"] for line in lines]
    assert [line["step"] for line in lines] == list(range(1, 25))
    assert losses[-1] < losses[0] - 0.5
    assert {"grad_norm", "learning_rate", "epoch", "clips_per_second", "tokens_per_second"} <= lines[0].keys()


def test_tensorboard_gets_the_curves(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    pipeline.run(toy())
    (folder,) = (tmp_path / "runs" / "someone" / "logs").iterdir()
    events = EventAccumulator(str(folder))
    events.Reload()
    assert len(events.Scalars("train/loss")) == 8


def test_a_batch_of_four_is_four_batches_accumulated(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    """The loss of a step is the mean over its tokens, however the step is cut up."""
    pipeline.run(toy(train={"batch_size": 4}, folders={"runs": str(tmp_path / "whole" / "runs")}))
    cut = {"batch_size": 1, "gradient_accumulation": 4}
    pipeline.run(toy(train=cut, folders={"runs": str(tmp_path / "cut" / "runs")}))
    one_pass, accumulated = metrics(tmp_path / "whole"), metrics(tmp_path / "cut")
    assert [line["loss"] for line in one_pass] == pytest.approx([line["loss"] for line in accumulated], abs=1e-5)


def test_validation_is_logged_and_early_stopping_stops(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = toy(
        clips=24,
        train={"validation": 0.3, "epochs": 30, "learning_rate": 0.5, "scheduler": "constant", "early_stopping": 2},
    )
    pipeline.run(recipe)
    evaluations = [line["eval_loss"] for line in metrics(tmp_path) if "eval_loss" in line]
    assert len(evaluations) < 30
    assert min(evaluations) == evaluations[-3]
    (facts,) = (tmp_path / "runs" / "someone" / "checkpoints").glob("*/final/training.json")
    trained = json.loads(facts.read_text())
    assert trained["best_step"] < trained["steps"]


def test_early_stopping_without_validation_is_refused(toy: Callable[..., Recipe]) -> None:
    with pytest.raises(RecipeError, match="early_stopping needs validation clips"):
        pipeline.run(toy(train={"early_stopping": 2}))


def test_checkpoints_are_limited_and_complete(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    pipeline.run(toy(train={"epochs": 4, "save_limit": 2}))
    (training,) = (tmp_path / "runs" / "someone" / "checkpoints").iterdir()
    names = sorted(path.name for path in training.iterdir())
    assert names == ["checkpoint-12", "checkpoint-16", "final", "identity.json"]


def test_done_is_not_done_again(toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.run(toy())

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(Trainer, "train", fail)
    monkeypatch.setattr(Engine, "prepare_sample", fail)
    monkeypatch.setattr("vtune.pipeline.write_voice", fail)
    assert pipeline.run(toy())
    with pytest.raises(AssertionError, match="trained again"):
        pipeline.run(toy(train={"learning_rate": 2e-2}))


def test_what_a_killed_run_left_beside_a_finished_training_is_removed(
    toy: Callable[..., Recipe], tmp_path: Path
) -> None:
    """A run that is killed after it has renamed ``final`` leaves a lock file, an old folder, or both."""
    pipeline.run(toy())
    (training,) = (tmp_path / "runs" / "someone" / "checkpoints").iterdir()
    straight = sorted(training.iterdir())
    (training / ".final.vtune-lock").touch()
    (training / ".final.0123abcd.vtune-former").mkdir()
    (training / ".partial" / "checkpoint-4").mkdir(parents=True)
    pipeline.run(toy())
    assert sorted(training.iterdir()) == straight


def test_out_of_memory_ends_in_advice_with_numbers(toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(Trainer, "training_step", step)
    with pytest.raises(TrainingError) as caught:
        pipeline.run(toy(train={"batch_size": 4}, lora={"rank": 16}))
    message = str(caught.value)
    assert "batches of 4 clips of up to 50 tokens (200 a pass)" in message
    assert "train.batch_size=2 train.gradient_accumulation=2" in message
    assert "train.gradient_checkpointing=true" in message
    assert "lora.rank=8" in message
    assert "\n" not in message


def test_other_runtime_errors_are_not_called_memory() -> None:
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"))
    assert is_out_of_memory(RuntimeError("could not create a primitive"))
    assert not is_out_of_memory(RuntimeError("could not create a primitive descriptor for a matmul primitive"))


def test_a_loss_that_is_no_number_stops_the_run(toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer.training_step

    def nan(self: Any, *arguments: Any) -> Any:
        return step(self, *arguments) * (math.nan if self.state.global_step == 2 else 1)

    monkeypatch.setattr(Trainer, "training_step", nan)
    with pytest.raises(TrainingError, match=r"loss became nan at step 3; lower train\.learning_rate"):
        pipeline.run(toy())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_between_two_lines_of_the_log_stops_the_run_before_it_is_kept(
    toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bad: float
) -> None:
    """One batch of several in a step; the weights stay finite, so the checks after a training would find nothing."""
    step = Trainer.training_step
    calls = []

    def spoiled(self: Any, *arguments: Any) -> Any:
        calls.append(self.state.global_step)
        return step(self, *arguments) * (bad if calls.count(2) == 1 and calls[-1] == 2 else 1)

    monkeypatch.setattr(Trainer, "training_step", spoiled)
    train = {"log_every": 1000, "save_every": 3, "batch_size": 1, "gradient_accumulation": 2}
    with pytest.raises(TrainingError, match=rf"loss became {bad} at step 3; lower train\.learning_rate"):
        pipeline.run(toy(train=train))
    assert not list(tmp_path.rglob("checkpoint-3"))


@pytest.mark.parametrize(
    ("train", "says"),
    [
        ({"scheduler": "cosin"}, r"train\.scheduler: there is no 'cosin'; did you mean 'cosine'\?"),
        ({"arguments": {"neftune_noise_alfa": 1}}, "did you mean 'neftune_noise_alpha'"),
        ({"report_to": ["tensorbord"]}, "no tracker 'tensorbord'; did you mean 'tensorboard'"),
        ({"report_to": ["wandb"]}, "'wandb' is not installed"),
        ({"arguments": {"output_dir": "x"}}, "'output_dir' is set by vtune"),
        (
            {"arguments": {"fsdp": True}},
            "'fsdp' divides the network over the processes, .* set train.sharding to fsdp2",
        ),
    ],
)
def test_unknown_settings_of_the_loop_name_the_nearest(toy: Callable[..., Recipe], train: Any, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        pipeline.run(toy(train=train))


@pytest.mark.parametrize(
    ("train", "says"),
    [
        ({"optimizer": "adamw_hf"}, "adamw"),
        ({"optimizer": "adamw_8bit"}, "bitsandbytes"),
        ({"precision": "fp16"}, "fp16"),
    ],
)
def test_settings_that_cannot_work_here_are_one_line(toy: Callable[..., Recipe], train: Any, says: str) -> None:
    with pytest.raises(TrainingError, match=says) as caught:
        pipeline.run(toy(train=train))
    assert "\n" not in str(caught.value)


def test_bf16_trains_on_the_cpu(toy: Callable[..., Recipe], tmp_path: Path) -> None:
    pipeline.run(toy(train={"precision": "bf16", "epochs": 4}))
    losses = [line["loss"] for line in metrics(tmp_path)]
    assert losses[-1] < losses[0]


def test_adapters_are_given_bf16_without_a_detour(
    toy: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PEFT's way, by float32 and back, trains the same adapter to the last bit."""

    def trained(name: str) -> dict[str, torch.Tensor]:
        (voice,) = pipeline.run(
            toy(train={"precision": "bf16"}, folders={k: str(tmp_path / name / k) for k in FOLDERS})
        )
        return load_file(voice.path / "adapter_model.safetensors")

    widened = []
    cast = BaseTunerLayer._cast_input_dtype

    def spy(self: Any, given: Any, dtype: torch.dtype) -> Any:
        result = cast(self, given, dtype)
        if self.training:
            widened.append(result is not given)
        return result

    monkeypatch.setattr(BaseTunerLayer, "_cast_input_dtype", spy)
    ours = trained("ours")
    assert widened
    assert not any(widened)
    monkeypatch.setattr("vtune.training.trainer.disable_input_dtype_casting", lambda *_, **__: nullcontext())
    theirs = trained("theirs")
    assert any(widened)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_world_size_that_was_asked_for_is_asserted(toy: Callable[..., Recipe]) -> None:
    with pytest.raises(TrainingError, match="2 processes were requested, but 1 joined"):
        pipeline.run(toy(train={"world_size": 2}))


def test_a_launch_that_silently_started_one_process_is_caught(
    toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``accelerate launch --cpu --num_processes 2`` leaves in the environment."""
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    with pytest.raises(TrainingError, match="should start several processes, but it started one"):
        pipeline.run(toy())


def test_the_page_maps_every_key_to_arguments_that_exist() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "explanation" / "training.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `train\.(\w+)` \| (.+) \|$", page, flags=re.M)
    arguments = {name for _, names in rows for name in re.findall(r"`(\w+)`", names)}
    assert arguments <= inspect.signature(TrainingArguments).parameters.keys()
    own = {
        "method",
        "device",
        "world_size",
        "validation",
        "early_stopping",
        "arguments",
        "learning_rates",
        "ema",
        "sharding",
        "frozen",
    }
    assert {key for key, _ in rows} == TrainRecipe.model_fields.keys() - own


def test_an_error_of_the_model_names_the_engine_and_the_line(toy_recipe: Callable[..., Path], tmp_path: Path) -> None:
    source = Path(vtune_toy.__file__).read_text()
    (tmp_path / "mine.py").write_text(
        source.replace("        if labels is None:\n", '        {}["hidden"]\n        if labels is None:\n')
    )
    use_engine_file(tmp_path / "mine.py")
    with pytest.raises(EngineError, match=r"mine.py'.*: training the model raised KeyError 'hidden' at mine.py:\d+$"):
        pipeline.run(load_recipe(toy_recipe(engine=str(tmp_path / "mine.py"), evaluate={"checkpoint_sentences": 0})))


@pytest.mark.parametrize(
    ("tensor", "layer"),
    [
        ("base_model.model.layers.0.q_proj.lora_A.default.weight", "q_proj"),
        ("base_model.model.flow.in_layers.3.lora_B.default.weight", "in_layers"),
    ],
)
def test_the_layers_of_a_list_are_counted_by_the_name_of_the_list(tensor: str, layer: str) -> None:
    assert _layer_name(tensor) == layer
