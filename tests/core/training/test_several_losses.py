"""Parts beside the adapter, several losses and optimizers, averages and learning rates, with a separate engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from adversarial import without_a_step, write_engine, write_recipe
from forks import Forks
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from vtune import pipeline
from vtune.engines import load_recipe
from vtune.engines.single_file import use_engine_file
from vtune.errors import EngineError, TrainingError, VtuneError
from vtune.recipe import Recipe
from vtune.training import checkpoints

SIMULTANEOUS = {"engine_options": {"mode": "simultaneous"}}
CUT = {"batch_size": 1, "gradient_accumulation": 2}
MEAN_OVER_CLIPS = (
    "wrong.float().sum() / (num_items_in_batch or items.sum())",
    "(wrong.float().sum(1) / items).mean()",
)
NO_DISCRIMINATOR = ('        "discriminator": vtune.TrainingPart(Discriminator(), learning_rate=5e-3),\n', "")


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
    """Load a recipe of the engine in a folder, with some of the engine's text replaced."""
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


POSTERIOR, JUDGE = "vtune.TrainingPart(network.posterior)", 'step.optimize(verdict, "judge")\n    return'
LATE = (JUDGE, f"(step.step < 4 and step.epoch < 1) or {JUDGE}")
"""The discriminator begins with the second epoch."""


@pytest.mark.parametrize(
    ("name", "kill", "sections"),
    [
        ("alternating", 5, {"train": {"save_every": 3, "ema": 0.9, "learning_rates": {"posterior": 3e-3}}}),
        ("simultaneous", 3, {**SIMULTANEOUS, "train": {"save_every": 2, "precision": "bf16", **CUT}}),
    ],
)
def test_a_killed_training_of_several_optimizers_goes_on_bit_by_bit(
    adversarial: Callable[..., Recipe], name: str, kill: int, sections: dict[str, Any]
) -> None:
    straight = train(adversarial(name, LATE, **sections))
    recipe = adversarial(f"killed-{name}", LATE, **sections)
    with pytest.raises(Killed):
        pipeline.run(recipe, until_trained=True, callbacks=[Kill(kill)])
    resumed = train(recipe)
    first, second = last(straight), last(resumed)
    assert first.keys() == second.keys()
    assert [key for key in first if not torch.equal(first[key], second[key])] == []
    for file in ("optimizer.pt", "further_optimizers.pt"):
        assert_same(*(torch.load(folder / "checkpoint-8" / file) for folder in (straight, resumed)))


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


def adapter_and_parts(training: Path) -> dict[str, torch.Tensor]:
    tensors = last(training)
    return {name.partition(":")[2]: tensor for name, tensor in tensors.items() if "raw" not in name}


def assert_close(one: Path, other: Path) -> None:
    first, second = adapter_and_parts(one), adapter_and_parts(other)
    assert first.keys() == second.keys()
    for name in first.keys() - {"discriminator.level"}:  # a running mean over batches, which are others
        torch.testing.assert_close(first[name], second[name], rtol=1e-3, atol=1e-5)


def test_accumulated_batches_are_one_batch_for_every_optimizer(adversarial: Callable[..., Recipe]) -> None:
    """Where no optimizer moves between two losses; see decision 0051 for those that alternate.

    AdamW and clipping would hide a gradient of the wrong size, so both optimizers are plain descent without clipping.
    """
    changes = (MEAN_OVER_CLIPS, ("AdamW", "SGD"), (", betas=(0.8, 0.99)", ""))
    settings = {"epochs": 1, "optimizer": "sgd", "max_grad_norm": 0, "learning_rate": 0.1}
    cut = {"batch_size": 1, "gradient_accumulation": 4}
    one_batch = train(adversarial("whole", *changes, **SIMULTANEOUS, train={**settings, "batch_size": 4}))
    assert_close(one_batch, train(adversarial("cut", *changes, **SIMULTANEOUS, train={**settings, **cut})))


def test_targets_without_labels_are_counted_by_items(adversarial: Callable[..., Recipe]) -> None:
    """The loss of a step is the mean over its frames, however the step is cut up; a part learns from the same loss."""
    changes = (without_a_step(), NO_DISCRIMINATOR)
    cut = {"batch_size": 1, "gradient_accumulation": 4, "epochs": 1}
    one_pass, accumulated = (
        adversarial("whole", *changes, train={"batch_size": 4, "epochs": 1}), adversarial("cut", *changes, train=cut)
    )  # fmt: skip
    assert_close(train(one_pass), train(accumulated))
    assert [line["loss"] for line in lines(one_pass)] == pytest.approx([line["loss"] for line in lines(accumulated)])


@pytest.mark.slow
def test_two_processes_learn_what_one_does(forks: Forks, adversarial: Callable[..., Recipe], tmp_path: Path) -> None:
    alone = train(adversarial("one", MEAN_OVER_CLIPS, train={"epochs": 1, "ema": 0.9}))
    adversarial("two", MEAN_OVER_CLIPS, train={"epochs": 1, "batch_size": 1, "ema": 0.9})
    command = ("train", "recipe.yaml", "--launch", "2", "--engine-file", "adversarial_engine.py")
    code, output = forks.run(tmp_path / "two", *command)
    assert code == 0, output
    (two,) = (tmp_path / "two/runs/someone/checkpoints").iterdir()
    assert_close(alone, two)


def test_the_voice_is_the_average_of_the_weights(adversarial: Callable[..., Recipe]) -> None:
    """Computed anew from the weights of every step: d = min(decay, (1 + t) / (10 + t))."""
    watch = Watch()
    training = train(adversarial(train={"ema": 0.6, "epochs": 3}), watch)
    beginning = {name: tensor.double() for name, tensor in watch.weights[0].items()}
    # After the first step 9/11 of the average are its weights, and 2/11 the new adapter: B = 0, and A as it was.
    kept = load_file(training / "final/adapter_model.safetensors")
    for name, first in beginning.items():
        if "lora_B" not in name:
            continue
        average = torch.zeros_like(first)
        for step, weights in enumerate(watch.weights, 1):
            decay = min(0.6, (1 + step) / (10 + step))
            average = decay * average + (1 - decay) * weights[name].double()
        saved = kept[name.removeprefix("model.").replace(".default", "")]
        torch.testing.assert_close(saved.double(), average, rtol=1e-5, atol=1e-7)
        assert not torch.allclose(saved, watch.weights[-1][name], rtol=1e-3)
    raw = load_file(training / "checkpoint-12/raw_weights.safetensors")
    assert all(torch.equal(raw[name.removeprefix("model.")], tensor) for name, tensor in watch.weights[-1].items())


def test_learning_rates_of_parts_and_of_tensors(adversarial: Callable[..., Recipe]) -> None:
    watch = Watch()
    rates = {"posterior": 3e-3, "lora_B": 2e-2, "discriminator": 1e-4}
    training = train(adversarial(train={"learning_rates": rates, "scheduler": "constant", "epochs": 1}), watch)
    assert sorted(watch.groups) == [(3e-3, 1), (3e-3, 1), (1e-2, 2), (2e-2, 2)]  # weight and bias decay differently
    states = torch.load(training / "checkpoint-4/further_optimizers.pt")
    assert states["judge"]["optimizer"]["param_groups"][0]["lr"] == 1e-4


def test_every_weight_and_parts(adversarial: Callable[..., Recipe]) -> None:
    """The voice has the posterior encoder of the base, and no discriminator."""
    training = train(adversarial(train={"method": "full", "epochs": 1, "ema": 0.5, "learning_rate": 1e-3}))
    weights = load_file(training / "final/model.safetensors")
    torch.manual_seed(0)
    letters, prior = torch.nn.Embedding(128, 12), torch.nn.Linear(12, 12)
    posterior = torch.nn.Linear(8, 24)
    assert torch.equal(weights["posterior.weight"], posterior.weight)
    assert not torch.equal(weights["prior.weight"], prior.weight)
    assert not torch.equal(weights["letters.weight"], letters.weight)
    assert not any("discriminator" in name for name in weights)
    trained = load_file(training / "checkpoint-4/parts.safetensors")
    assert not torch.equal(trained["posterior.weight"], posterior.weight)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_rate_of_zero_freezes(adversarial: Callable[..., Recipe], method: str) -> None:
    """Frozen tensors are whole in the voice and have no place in the optimizer; everything else learns."""
    frozen = "prior" if method == "full" else "lora_A"
    settings = {"method": method, "epochs": 1, "ema": 0.5, "learning_rate": 1e-2, "learning_rates": {frozen: 0}}

    trainings = [train(adversarial(method + name, train={**settings, "learning_rate": rate}))
                 for name, rate in (("slow", 1e-3), ("fast", 1e-2))]  # fmt: skip

    slow, fast = (
        {
            name: tensor
            for file in (training / "final").glob("*.safetensors")
            for name, tensor in load_file(file).items()
        }
        for training in trainings
    )
    still = {name for name in slow if frozen in name}
    learning = {name for name in slow.keys() - still if "posterior" not in name}
    assert still
    assert {name for name in slow if torch.equal(slow[name], fast[name])} & (still | learning) == still
    state = torch.load(trainings[0] / "checkpoint-4/optimizer.pt")["state"]
    assert len(state) == len(learning) + 2  # and weight and bias of the posterior encoder


def test_everything_frozen_is_refused(adversarial: Callable[..., Recipe]) -> None:
    with pytest.raises(TrainingError, match="0 freezes all tensors of the adapter"):
        train(adversarial(train={"learning_rates": {"lora_A": 0, "lora_B": 0}}))


def test_damaged_parts_are_noticed(adversarial: Callable[..., Recipe], caplog: pytest.LogCaptureFixture) -> None:
    recipe = adversarial(train={"save_every": 2})
    with pytest.raises(Killed):
        pipeline.run(recipe, until_trained=True, callbacks=[Kill(5)])
    (training,) = (recipe.folders.runs / "someone" / "checkpoints").iterdir()
    checkpoint = training / "checkpoint-4"
    tensors = load_file(checkpoint / "parts.safetensors")
    tensors["discriminator.inner.weight"][0, 0] = float("nan")
    save_file(tensors, checkpoint / "parts.safetensors")
    (checkpoint / checkpoints.MANIFEST).unlink()
    checkpoints.seal(checkpoint)
    train(recipe)
    assert "discriminator.inner.weight holds values that are not finite numbers; trying the earlier" in caplog.text


MISTAKES: dict[str, tuple[str, str, type[VtuneError], str]] = {
    "an optimizer never moves": (
        JUDGE, "pass\n    return", EngineError, r"training_step has never called step\.optimize for 'judge'"
    ),
    "the adapter never learns": (
        "    step.optimize(loss)\n", "", EngineError, r"training_step did not call step\.optimize\(loss\) in the first"
    ),
    "a mistyped optimizer": (
        JUDGE, JUDGE.replace("judge", "juge"), EngineError, "there is no optimizer 'juge'; did you mean 'judge'"
    ),
    "one loss twice": (
        "    step.optimize(loss)\n", 2 * "    step.optimize(loss)\n", EngineError,
        "called twice for optimizer 'main' in one batch; add the losses up",
    ),
    "a loss that is no number": (
        '"adversarial": adversarial', '"adversarial": adversarial / 0 * 0', TrainingError,
        "the number 'adversarial' became nan at step 1",
    ),
    "a part beside the loss": (
        POSTERIOR, "vtune.TrainingPart(nn.Linear(1, 1))", TrainingError,
        r"2 of 6 tensors had no gradient in the first step: posterior\.weight, posterior\.bias",
    ),
    "a part behind a cut": (
        "self.outer(torch.tanh(self.inner(mel)))", "self.outer(torch.tanh(self.inner(mel)).detach())", TrainingError,
        r"2 of 4 tensors had no gradient in the first step: discriminator\.inner\.weight",
    ),
    "an undeclared part": (
        POSTERIOR, "vtune.TrainingPart(network.posterior.requires_grad_(True) and nn.Linear(1, 1))", TrainingError,
        r"2 tensors of the base are trainable beside the adapter: .*posterior\.weight.*declare in training_parts",
    ),
    "a running mean inside the base": (
        "self.prior(self.letters(letters))", "self.prior(self.norm(self.letters(letters).mT).mT)", TrainingError,
        r"3 buffers of the base changed in the first step: .*norm\.running_mean.*eval mode",
    ),
    "a part of the adapter": (
        POSTERIOR, "vtune.TrainingPart(network.prior)", EngineError,
        r"training_parts: part 'posterior' holds tensors of the adapter: .*prior\.lora_A",
    ),
    "an optimizer of the adapter": (
        'torch.optim.AdamW(parts["discriminator"].parameters()',
        "torch.optim.AdamW([p for name, p in model.named_parameters() if 'lora_' in name]", EngineError,
        "optimizers: optimizer 'judge' holds 4 tensors that belong to no part",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_of_the_engine_is_named(adversarial: Callable[..., Recipe], mistake: str) -> None:
    old, new, error, text = MISTAKES[mistake]
    changes = [(old, new)]
    if "self.norm" in new:
        changes.append(("self.prior = nn.Linear", "self.norm = nn.BatchNorm1d(WIDTH)\n        self.prior = nn.Linear"))
    if "model.named_parameters" in new:
        changes.append(("def optimizers(parts, ", "def optimizers(model, parts, "))
    with pytest.raises(error, match=text) as caught:
        train(adversarial("one", *changes, **SIMULTANEOUS, train={"epochs": 1}))
    assert "\n" not in str(caught.value)
