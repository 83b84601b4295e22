"""Check the tensors of a file against a network before anything is loaded: all of them, and only numbers of a voice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch

from vtune.errors import EngineError, printable

MAX_MAGNITUDE = 1e4
"""Largest weight that a voice may have; published voices have at most a few hundred."""

MAX_NAME_CHARACTERS = 200
"""Characters of a tensor's name in an error."""

Shape = tuple[int, ...]


def require_same_tensors(
    found: Mapping[str, Shape],
    expected: Mapping[str, Shape],
    title: str,
    fits: Callable[[Shape, Shape], bool] = tuple.__eq__,
) -> None:
    """Check that a file has exactly the tensors of a network.

    :param found: shapes of the file's tensors by name.
    :param expected: shapes of the network's tensors, by their names in the file.
    :param title: the file and what it should hold: ``a.onnx does not hold this VITS network``.
    :param fits: whether a tensor of the first shape can be loaded into one of the second.
    :raises EngineError: names every tensor that is missing, unexpected or of another shape.
    """
    missing = sorted(expected.keys() - found.keys())
    unexpected = sorted(found.keys() - expected.keys())
    misshapen = [
        f"{name} is {list(found[name])}, should be {list(shape)}"
        for name, shape in expected.items()
        if name in found and not fits(found[name], shape)
    ]
    groups = (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
    problems = "; ".join(f"{len(names)} {what}: {_listed(names)}" for what, names in groups if names)
    if problems:
        raise EngineError(f"{title} ({len(expected)} tensors): {problems}")


def require_sane_tensor(tensor: torch.Tensor, name: str, source: object) -> None:
    """Refuse a tensor that cannot be a voice's.

    :param source: the file, for the error.
    :raises EngineError: it holds NaN, infinity or a number over `MAX_MAGNITUDE`, or no floating-point numbers.
    """
    if not tensor.is_floating_point():
        raise EngineError(f"{source}: the tensor {name} holds {tensor.dtype}, and a voice needs floating-point numbers")
    largest = tensor.float().abs().max().item() if tensor.numel() else 0.0
    if not largest <= MAX_MAGNITUDE:
        raise EngineError(
            f"{source}: the tensor {name} holds {largest:g}, and a voice's weights are finite numbers up to "
            f"{MAX_MAGNITUDE:g}; the file is damaged, get it again"
        )


def _listed(names: Iterable[str]) -> str:
    """List all names on one line; a stranger may have chosen them."""
    return ", ".join(printable(name[:MAX_NAME_CHARACTERS]) for name in names)
