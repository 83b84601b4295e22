"""Tensors of a checkpoint: written by name to a safetensors file, read back strictly, and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from vtune.errors import listed
from vtune.training.divided_tensors import divided_like


def write_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write tensors by name; the same values give the same bytes."""
    from safetensors.torch import save_file

    # Copies, because safetensors refuses tensors that share memory.
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, str(path))


def read_into(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Copy the values of a file into tensors. :raises ValueError: see ``check_tensors``."""
    check_tensors(tensors, path)
    with torch.no_grad():
        for name, value in _open(path).items():
            tensors[name].copy_(divided_like(value, tensors[name]))


def check_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Check that a file has exactly these tensors, in their shapes and dtypes, and only finite values.

    :raises ValueError: says which tensor differs, and how.
    """
    values = _open(path)
    if values.keys() != tensors.keys():
        raise ValueError(f"it holds other tensors: {listed(sorted(values.keys() ^ tensors.keys()))}")
    for name, value in values.items():
        own = tensors[name]
        if (value.shape, value.dtype) != (own.shape, own.dtype):
            raise ValueError(f"{name} is {value.dtype} {tuple(value.shape)}, and not {own.dtype} {tuple(own.shape)}")
        require_finite(name, value)


def check_optimizer_state(state: Mapping[str, Any], tensors: Iterable[torch.Tensor]) -> None:
    """Check that the state of an optimizer belongs to some tensors and is finite.

    :raises ValueError: the state is of other tensors, or not finite.
    """
    shapes = [tuple(tensor.shape) for tensor in tensors]
    count = sum(len(group["params"]) for group in state["param_groups"])
    averaged = Counter(tuple(kept["exp_avg"].shape) for kept in state["state"].values() if "exp_avg" in kept)
    if count != len(shapes) or averaged - Counter(shapes):
        raise ValueError("it belongs to other tensors than those that are trained")
    for kept in state["state"].values():
        for name, value in kept.items():
            if isinstance(value, torch.Tensor):
                require_finite(name, value)


def check_scheduler_state(state: Mapping[str, Any]) -> None:
    """Check that the state of a learning rate schedule is finite. :raises ValueError: a number is not finite."""
    require_finite("the learning rate", torch.tensor([float(state["last_epoch"]), *state["_last_lr"]]))


def require_finite(name: str, tensor: torch.Tensor) -> None:
    """Check that a tensor has only finite values. :raises ValueError: names it."""
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise ValueError(f"{name} holds values that are not finite numbers")


def _open(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(str(path))
