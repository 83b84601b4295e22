"""Tensors that FSDP2 has divided over the processes: gather them, fill them, and decide something about all pieces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import distributed
from torch.distributed.tensor import DTensor, distribute_tensor


def is_divided(tensors: Iterable[torch.Tensor]) -> bool:
    """Tell whether some of the tensors are divided over the processes."""
    return any(isinstance(tensor, DTensor) for tensor in tensors)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor with all of its pieces; every process must call this for a divided tensor.

    >>> whole(torch.zeros(3))  # is not divided
    tensor([0., 0., 0.])
    """
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def piece(tensor: torch.Tensor) -> torch.Tensor:
    """Return the piece of a tensor that this process holds; the tensor itself if it is not divided."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def divided_like(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return a whole value divided as another tensor is; every process holds the same value, and nothing is sent.

    :param value: of the same shape as ``like``, on any device.
    """
    if not isinstance(like, DTensor):
        return value
    mesh = like.device_mesh
    return distribute_tensor(value.to(like.device), mesh, like.placements, src_data_rank=None)


def gathered_state(state: Any, *, keep: bool) -> Any:
    """Return nested dictionaries and lists with every divided tensor gathered to the CPU; every process calls this.

    :param keep: False in a process that only takes part: its result has empty tensors.
    """
    if isinstance(state, DTensor):
        gathered = state.full_tensor()
        return gathered.cpu() if keep else gathered.new_empty(0)
    if isinstance(state, Mapping):
        return {name: gathered_state(value, keep=keep) for name, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(gathered_state(value, keep=keep) for value in state)
    return state


def in_any_process(flags: list[bool], tensors: Iterable[torch.Tensor]) -> list[bool]:
    """Return which flags are set in any process, if the tensors are divided; otherwise the flags as they are."""
    if not flags or not is_divided(tensors):
        return flags
    device = next(piece(tensor).device for tensor in tensors)
    counts = torch.tensor(flags, dtype=torch.int32, device=device)
    distributed.all_reduce(counts, distributed.ReduceOp.MAX)
    return [bool(flag) for flag in counts.tolist()]
