"""What follows the training fits into the memory of the training: guards work layer by layer, and no optimizer is
left."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from vtune import pipeline
from vtune.recipe import Recipe
from vtune.training import guards

WIDTH, LAYERS, VOCABULARY = 64, 4, 128


class Network(nn.Module):
    """Every kind of module that PEFT adapts, with a head that shares its weights with the embedding table."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, WIDTH)
        self.linear = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(layers))
        self.turned = Conv1D(WIDTH, WIDTH)
        self.convolution = nn.Conv1d(WIDTH, WIDTH, 3, padding=1)
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.table(ids)
        for layer in self.linear:
            hidden = torch.tanh(layer(hidden))
        hidden = self.convolution(self.turned(hidden).transpose(1, 2)).transpose(1, 2)
        return {"logits": self.head(hidden)}


def adapted(dtype: torch.dtype = torch.float32, layers: int = LAYERS, **settings: Any) -> Any:
    torch.manual_seed(0)
    chosen = {"target_modules": ["table", *(f"linear.{n}" for n in range(layers)), "turned", "convolution"], **settings}
    model = get_peft_model(Network(layers).to(dtype), LoraConfig(r=4, lora_alpha=8, **chosen))
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and "magnitude" not in name:
            nn.init.normal_(parameter, std=0.1)
    return model


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    return {"ids": torch.randint(VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(1))}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"use_dora": True, "target_modules": ["linear.0", "linear.3", "table"]},
        {"target_modules": ["linear.1", "turned"], "modules_to_save": ["head"]},
        {"target_modules": ["linear.1", "linear.2"], "lora_bias": True},
    ],
)
def test_merged_in_passing_answers_bit_for_bit_as_merged(
    batch: dict[str, torch.Tensor], dtype: torch.dtype, settings: dict[str, Any]
) -> None:
    model = adapted(dtype, **settings)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    beside = guards.probe_logits(model, batch)
    with guards.merged_in_passing(model):
        passing = guards.probe_logits(model, batch)
    assert torch.equal(guards.probe_logits(model, batch), beside)
    after = model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    merged = copy.deepcopy(model).merge_and_unload()
    assert torch.equal(passing, guards.probe_logits(merged, batch))
    assert not torch.equal(passing, beside)  # else nothing was merged


def test_a_merge_that_changes_what_is_said_fails(batch: dict[str, torch.Tensor]) -> None:
    model = adapted()
    assert guards.check_merge(model, batch) < 1e-5
    layer = model.base_model.model.linear[-1]
    layer.get_delta_weight = lambda adapter: torch.ones(WIDTH, WIDTH)
    with pytest.raises(guards.TrainingError, match="merging the adapter into the base changes the logits"):
        guards.check_merge(model, batch)
    assert not layer.merged


def test_the_weights_are_back_when_a_merge_fails(batch: dict[str, torch.Tensor]) -> None:
    model = adapted()
    layer = model.base_model.model.linear[2]
    weight = layer.base_layer.weight
    layer.base_layer.forward = lambda given: 1 / 0
    with pytest.raises(ZeroDivisionError):
        guards.check_merge(model, batch)
    assert layer.base_layer.weight is weight
    assert not layer.merged


def test_guards_take_the_memory_of_one_layer(
    batch: dict[str, torch.Tensor], benchmark: Callable[[str], Any], tmp_path: Any
) -> None:
    from vtune.voice_format.weights import save_weights

    model = adapted(layers=30)
    save_weights(model, tmp_path)
    adapter = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    largest = max(p.numel() * p.element_size() for p in model.parameters())
    answers = 6 * 2 * 9 * VOCABULARY * 4
    for check, bound in (
        (lambda: guards.check_adapter_speaks(model, batch), 0),
        (lambda: guards.check_merge(model, batch), 3 * largest),  # a copy; B A, and scaled
        (lambda: guards.check_reloads(model, tmp_path, batch), 3 * adapter),
    ):
        alive = benchmark("counting").Alive()
        with alive:
            there = [parameter.view(-1) for parameter in model.parameters()]  # so that it knows them
            static = alive.now
            check()
        assert alive.peak - static < bound + answers
        del there


def test_no_optimizer_and_no_gradient_is_left_when_guards_work(
    toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    check = guards.check_adapter_speaks

    def looked(model: Any, probe: Any, tuned: Any) -> float:
        seen.extend(thing for thing in gc.get_objects() if issubclass(type(thing), torch.optim.Optimizer))
        seen.extend(name for name, p in model.named_parameters() if p.grad is not None)
        return check(model, probe, tuned)

    monkeypatch.setattr(guards, "check_adapter_speaks", looked)
    pipeline.run(toy(), until_trained=True)
    assert seen == []
