"""Checks of the simulated device itself; as a program, it runs all of them.

python device_checks.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from simulated_device import simulated_device
from torch import nn


def check_a_training_is_that_of_a_cpu() -> None:
    """The same weights, bit by bit."""

    def trained(device: torch.device) -> torch.Tensor:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 1)).to(device)
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
        for _ in range(3):
            network(torch.ones(2, 3, device=device)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        return network[0].weight.detach().cpu()

    with simulated_device() as (device, _):
        found = trained(device)
    torch.testing.assert_close(found, trained(torch.device("cpu")), rtol=0, atol=0)


def check_gradients_of_complex_numbers_are_those_of_a_cpu() -> None:
    """Their backward passes read conjugates, which are views with a bit."""

    def gradient(device: torch.device) -> torch.Tensor:
        level = torch.linspace(-1, 1, 5).to(device).requires_grad_()
        torch.polar(level.exp(), 2 * level).real.square().sum().backward()
        assert level.grad is not None
        return level.grad.cpu()

    with simulated_device() as (device, _):
        found = gradient(device)
    torch.testing.assert_close(found, gradient(torch.device("cpu")))


WRONG: list[Callable[[torch.Tensor, torch.device], Any]] = [
    lambda tensor, device: tensor + torch.ones(3),
    lambda tensor, device: torch.cat([tensor, torch.ones(3)]),
    lambda tensor, device: nn.Linear(3, 1)(tensor),
    lambda tensor, device: torch.ones(3)[tensor.long()],
    lambda tensor, device: tensor.numpy(),
    lambda tensor, device: torch.randn(3, device=device, generator=torch.Generator()),
    lambda tensor, device: nn.Linear(3, 1).to(device)(torch.ones(3)),
]


def check_it_refuses_what_a_gpu_refuses() -> None:
    """Every mix of devices is an error."""
    allowed = []
    with simulated_device() as (device, _):
        for number, wrong in enumerate(WRONG):
            try:
                wrong(torch.ones(3, device=device), device)
            except (RuntimeError, TypeError):
                continue
            allowed.append(number)
    assert allowed == []


def check_it_allows_what_a_gpu_allows_and_counts_what_waits() -> None:
    """Numbers and indices of the CPU are allowed."""
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


if __name__ == "__main__":
    check_a_training_is_that_of_a_cpu()  # first, because torch makes its threads for gradients once
    check_gradients_of_complex_numbers_are_those_of_a_cpu()
    check_it_refuses_what_a_gpu_refuses()
    check_it_allows_what_a_gpu_allows_and_counts_what_waits()
    print("all checks passed")
