"""The device of the tests that stands for a GPU refuses what a GPU refuses, and computes what a CPU computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from simulated_device import simulated_device
from torch import nn


def test_a_training_on_it_is_that_of_a_cpu() -> None:
    def trained(device: torch.device) -> torch.Tensor:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 1)).to(device)
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
        for _ in range(3):
            network(torch.ones(2, 3, device=device)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        return network[0].weight.detach().cpu()

    expected = trained(torch.device("cpu"))
    with simulated_device() as (device, _):
        torch.testing.assert_close(trained(device), expected, rtol=0, atol=0)


WRONG: list[Callable[[torch.Tensor, torch.device], Any]] = [
    lambda tensor, device: tensor + torch.ones(3),
    lambda tensor, device: torch.cat([tensor, torch.ones(3)]),
    lambda tensor, device: nn.Linear(3, 1)(tensor),
    lambda tensor, device: torch.ones(3)[tensor.long()],
    lambda tensor, device: tensor.numpy(),
    lambda tensor, device: torch.randn(3, device=device, generator=torch.Generator()),
    lambda tensor, device: nn.Linear(3, 1).to(device)(torch.ones(3)),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_it_refuses_what_a_gpu_refuses(number: int) -> None:
    with simulated_device() as (device, _), pytest.raises((RuntimeError, TypeError)):
        WRONG[number](torch.ones(3, device=device), device)


def test_it_allows_what_a_gpu_allows_and_counts_what_waits() -> None:
    with simulated_device() as (device, waits):
        tensor = torch.arange(3.0, device=device)
        assert (tensor * torch.tensor(2.0)).device == device  # a number of the CPU
        assert tensor[torch.tensor([2, 0])].device == device  # indices of the CPU
        assert torch.tensor([1, 2], device=device).device == device
        assert not waits
        assert float(tensor.sum()) == 3.0
        assert tensor.cpu().tolist() == [0.0, 1.0, 2.0]
        assert sum(waits.values()) == 2
    assert not torch.accelerator.is_available()
