"""Frozen float32 weights under autocast: equal numbers to the last bit, and no copy that stays until the backward
pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from vtune.training.weight_casting import cast_weights_per_product

WIDTH, LAYERS = 96, 12


def adapted(kind: Callable[[], nn.Module]) -> Any:
    torch.manual_seed(0)
    layers = [nn.Sequential(kind(), nn.Tanh()) for _ in range(LAYERS)]
    model = get_peft_model(nn.Sequential(*layers), LoraConfig(r=2, target_modules=r"\d+\.0"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    return model


KINDS = {
    "linear": lambda: nn.Linear(WIDTH, WIDTH),
    "without bias": lambda: nn.Linear(WIDTH, WIDTH, bias=False),
    "conv1d": lambda: Conv1D(WIDTH, WIDTH),
}


def step(model: Any, *, narrowed: bool, alive: Any = None) -> tuple[torch.Tensor, list[torch.Tensor]]:
    given = torch.randn(2, 7, WIDTH, generator=torch.Generator().manual_seed(1))
    model.zero_grad()
    with cast_weights_per_product(model, active=narrowed):
        with torch.autocast("cpu", torch.bfloat16):
            output = model(given)
        if alive is not None:
            alive.after_forward = alive.now
        output.float().square().mean().backward()
    return output.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("kind", KINDS)
def test_answers_and_gradients_are_those_of_autocast(kind: str) -> None:
    model = adapted(KINDS[kind])
    output, gradients = step(model, narrowed=False)
    again, likewise = step(model, narrowed=True)
    assert torch.equal(output, again)
    assert len(gradients) == 2 * LAYERS
    assert all(torch.equal(before, other) for before, other in zip(gradients, likewise, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_no_narrow_copy_waits_for_backward(kind: str, benchmark: Callable[[str], Any]) -> None:
    kept = []
    for narrowed in (False, True):
        model = adapted(KINDS[kind])
        with benchmark("counting").Alive() as alive:
            there = [parameter.view(-1) for parameter in model.parameters()]
            static = alive.now
            step(model, narrowed=narrowed, alive=alive)
        kept.append(alive.after_forward - static)
        del there
    copies = LAYERS * WIDTH * WIDTH * 2
    assert kept[0] - kept[1] == pytest.approx(copies, rel=0.1)


def test_modules_are_as_before_and_trained_ones_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4).requires_grad_(False), nn.Linear(4, 4).half())
    with cast_weights_per_product(model, active=True):
        assert ["forward" in vars(module) for module in model] == [False, True, False]
    assert not any("forward" in vars(module) for module in model)
