"""Each guard notices the mistake that it is made for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import vtune
from vtune import pipeline
from vtune.engines import Engine
from vtune.errors import TrainingError
from vtune.recipe import Recipe
from vtune.testing import made_clip
from vtune.training import guards
from vtune.voice_format.weights import save_weights


@pytest.fixture
def engine() -> Engine:
    return vtune.load_engine("toy")


@pytest.fixture
def model(engine: Engine) -> Any:
    torch.manual_seed(0)
    return engine.build_lora_model(base_of(engine), engine.info.lora)


@pytest.fixture
def batch(engine: Engine) -> vtune.Batch:
    base = base_of(engine)
    clips = [made_clip(8000, seconds, index) for index, seconds in enumerate((0.5, 0.8))]
    return engine.collate(base, [engine.prepare_sample(base, clip) for clip in clips])


def base_of(engine: Engine) -> Any:
    return engine.load_base(engine.info.options(), torch.device("cpu"), torch.float32)


def sabotage(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]) -> None:
    """Change every model that an engine builds before it is trained."""
    build = Engine.build_model

    def changed(self: Engine, *arguments: Any) -> Any:
        made = build(self, *arguments)
        change(made)
        return made

    monkeypatch.setattr(Engine, "build_model", changed)


def test_a_frozen_tensor_fails_the_run_and_is_named(
    toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    def freeze(model: Any) -> None:
        dict(model.named_parameters())["base_model.model.inner.lora_B.default.weight"].requires_grad_(False)

    sabotage(monkeypatch, freeze)
    with pytest.raises(TrainingError, match=r"1 of 4 tensors that should learn are frozen: .*inner\.lora_B"):
        pipeline.run(toy())


def test_a_trainable_base_fails_the_run(toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage(monkeypatch, lambda model: model.base_model.model.letters.weight.requires_grad_(True))
    with pytest.raises(TrainingError, match=r"1 tensors of the base are trainable beside the adapter: .*letters"):
        pipeline.run(toy())


def test_a_detached_adapter_fails_the_run(toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    def detach(model: Any) -> None:
        network = model.base_model.model
        forward = network.forward

        def cut(*arguments: Any, **keywords: Any) -> Any:
            return {name: value.detach() for name, value in forward(*arguments, **keywords).items()}

        network.forward = cut
        network.accepts_loss_kwargs = False

    sabotage(monkeypatch, detach)
    with pytest.raises(TrainingError, match="the adapter is detached or switched off"):
        pipeline.run(toy())


def test_an_adapter_module_outside_the_loss_fails_at_the_first_step(
    toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The defect of the known trainer: most of its LoRA tensors never get a gradient."""

    def bypass(model: Any) -> None:
        layer = model.base_model.model.inner
        layer.forward = lambda x: torch.nn.functional.linear(x, layer.base_layer.weight, layer.base_layer.bias)

    sabotage(monkeypatch, bypass)
    with pytest.raises(TrainingError, match=r"2 of 4 tensors had no gradient in the first step: .*inner\.lora_A"):
        pipeline.run(toy())


def test_a_gradient_that_is_always_zero_fails_within_the_first_steps(
    toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    def mute(model: Any) -> None:
        dict(model.named_parameters())["base_model.model.outer.lora_A.default.weight"].register_hook(torch.zeros_like)

    sabotage(monkeypatch, mute)
    with pytest.raises(TrainingError, match=r"1 of 4 tensors have had a gradient of zero.*outer\.lora_A"):
        pipeline.run(toy())


@pytest.mark.parametrize("warmup", [0, 3])
def test_an_honest_training_passes_with_and_without_warm_up(toy: Callable[..., Recipe], warmup: int) -> None:
    assert pipeline.run(toy(train={"warmup": warmup}))


def test_a_training_that_moves_nothing_is_told(toy: Callable[..., Recipe]) -> None:
    with pytest.raises(TrainingError, match=r"the trained adapter changes nothing.*raise train\.learning_rate"):
        pipeline.run(toy(train={"learning_rate": 1e-30, "epochs": 1}))


def test_an_adapter_that_speaks_has_an_effect(model: Any, batch: vtune.Batch) -> None:
    with pytest.raises(TrainingError, match=r"still zero: .*lora_B"):
        guards.check_adapter_speaks(model, batch)
    torch.nn.init.ones_(dict(model.named_parameters())["base_model.model.outer.lora_B.default.weight"])
    assert guards.check_adapter_speaks(model, batch) > 0


def test_a_step_that_overflowed_is_no_step() -> None:
    """In fp16, the scaler skips a first step that overflows, so LoRA's B matrices stay zero for one more step."""
    pair = {name: nn.Parameter(torch.full((2, 2), start)) for name, start in (("A", 1.0), ("B", 0.0), ("far", 1.0))}
    optimizer = torch.optim.SGD(pair.values(), lr=0.1)
    check = guards.GradientCheck()

    def step(overflows: bool) -> None:
        optimizer.zero_grad()
        loss = (pair["B"] @ pair["A"] + pair["far"]).sum()
        (loss * float("inf") if overflows else loss).backward()
        torch.nn.utils.clip_grad_norm_(pair.values(), 1.0)
        check.check(pair, optimizer)
        if not overflows:
            optimizer.step()

    step(overflows=True)
    step(overflows=False)  # the gradient of A is zero, for B is
    assert not check.is_done
    step(overflows=False)
    assert check.is_done


def test_an_adapter_of_nan_is_no_adapter_that_changes_nothing(model: Any, batch: vtune.Batch) -> None:
    weight = dict(model.named_parameters())["base_model.model.outer.lora_B.default.weight"]
    torch.nn.init.constant_(weight, float("nan"))
    with pytest.raises(TrainingError, match=r"computes no numbers .*lower train\.learning_rate"):
        guards.check_adapter_speaks(model, batch)


def test_a_saved_adapter_that_differs_is_named(model: Any, batch: vtune.Batch, tmp_path: Path) -> None:
    save_weights(model, tmp_path)
    guards.check_reloads(model, tmp_path, batch)
    torch.nn.init.ones_(dict(model.named_parameters())["base_model.model.outer.lora_B.default.weight"])
    with pytest.raises(TrainingError, match=r"1 tensors on disk are not those in memory: .*outer\.lora_B"):
        guards.check_reloads(model, tmp_path, batch)


def test_a_saved_configuration_that_differs_is_told(model: Any, batch: vtune.Batch, tmp_path: Path) -> None:
    torch.nn.init.ones_(dict(model.named_parameters())["base_model.model.outer.lora_B.default.weight"])
    save_weights(model, tmp_path)
    config = tmp_path / "adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": 8', '"lora_alpha": 80'))
    with pytest.raises(TrainingError, match=r"gives other logits.*adapter_config\.json"):
        guards.check_reloads(model, tmp_path, batch)


def test_a_merge_is_the_formula(model: Any, batch: vtune.Batch) -> None:
    """The expected weight is ``W + (alpha / r) B A``, computed by hand."""
    parameters = dict(model.named_parameters())
    prefix = "base_model.model.outer"
    torch.nn.init.normal_(parameters[f"{prefix}.lora_B.default.weight"])
    base, a, b = (
        parameters[f"{prefix}.{name}"].detach().clone()
        for name in ("base_layer.weight", "lora_A.default.weight", "lora_B.default.weight")
    )
    beside = guards.probe_logits(model, batch)
    merged = model.merge_and_unload()
    torch.testing.assert_close(merged.outer.weight, base + 8 / 4 * b @ a)
    assert guards.compare_answers(beside, guards.probe_logits(merged, batch), 1e-4) < 1e-4


def test_a_merge_that_answers_differently_is_told() -> None:
    with pytest.raises(TrainingError, match=r"changes the logits by 1\.00e-01"):
        guards.compare_answers(torch.tensor([1.0, 10.0]), torch.tensor([1.0, 11.0]), 1e-3)
