"""Official files to networks: unwrapped, weight norm folded, strict: whatever does not fit is named."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import nn

from vtune import EngineError

logger = logging.getLogger(__name__)

SHOWN = 5
"""Kinds of names that a message lists."""

ROOM = 400
"""Characters that it has for all its lists."""

Tensors = dict[str, torch.Tensor]


class MisfitError(EngineError):
    """A file that does not hold the network it was taken for; the lists are whole, the message shortens them."""

    def __init__(
        self, where: str, count: int, missing: Sequence[str], misshapen: Sequence[str], unexpected: Sequence[str]
    ) -> None:
        self.missing, self.misshapen, self.unexpected = missing, misshapen, unexpected
        groups = (("missing", missing), ("of another shape", misshapen), ("unexpected", unexpected))
        problems = "; ".join(f"{len(names)} {what}: {_some(names)}" for what, names in groups if names)
        listed = shorten(problems, ROOM, placeholder=" ...")
        super().__init__(f"{where} does not hold this network ({count} tensors): {listed}")


def flat(tree: Any, path: Path) -> Tensors:
    """Join nested dictionaries to tensors by dotted name; ``module.`` in front of a name is taken off.

    :raises EngineError: there is no dictionary of tensors.
    """
    if not isinstance(tree, Mapping):
        raise EngineError(f"{path} holds {_kind(tree)} where a dictionary of tensors should be")
    found: Tensors = {}
    for name, value in tree.items():
        if isinstance(value, torch.Tensor):
            found[str(name).removeprefix("module.")] = value
        elif isinstance(value, Mapping):
            found.update({f"{name}.{inner}": tensor for inner, tensor in flat(value, path).items()})
    return found


def fold_weight_norm(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Replace pairs ``weight_g``, ``weight_v`` by ``weight = g v / |v|``, the norm over all axes but the first."""
    folded: Tensors = {}
    for name, tensor in tensors.items():
        if name.endswith("weight_g") and f"{name[:-1]}v" in tensors:
            v = tensors[f"{name[:-1]}v"]
            norm = v.flatten(1).norm(dim=1).view(-1, *[1] * (v.ndim - 1))
            folded[name[:-2]] = tensor * v / norm
        elif not (name.endswith("weight_v") and f"{name[:-1]}g" in tensors):
            folded[name] = tensor
    return folded


def without(tensors: Mapping[str, torch.Tensor], patterns: Iterable[str]) -> Tensors:
    """Leave out the entries whose names match one of some patterns, such as ``decoder.*``."""
    told = tuple(patterns)
    return {name: t for name, t in tensors.items() if not any(fnmatchcase(name, pattern) for pattern in told)}


def fit(network: nn.Module, tensors: Mapping[str, torch.Tensor], where: str, unused: Iterable[str] = ()) -> list[str]:
    """Fill a network from ``tensors`` by name; it may have been built on the meta device.

    :param where: what messages name: the file.
    :param unused: patterns (``decoder.*``) of entries that the file has and the network does not need.
    :returns: entries that nothing asks for; they are reported and left alone, for files grow over their versions.
    :raises MisfitError: names what is missing, what has another shape, and what is there instead.
    """
    kept = without(tensors, unused)
    mine = network.state_dict()
    missing = sorted(mine.keys() - kept.keys())
    unexpected = sorted(kept.keys() - mine.keys())
    misshapen = [
        f"{name} is {list(kept[name].shape)}, should be {list(tensor.shape)}"
        for name, tensor in mine.items()
        if name in kept and kept[name].shape != tensor.shape
    ]
    if missing or misshapen:
        raise MisfitError(where, len(mine), missing, misshapen, unexpected)
    if unexpected:
        logger.warning("%s: %d entries that nothing here uses: %s", where, len(unexpected), _some(unexpected))
    network.load_state_dict({name: kept[name] for name in mine}, assign=True)
    return unexpected


def _some(names: Sequence[str]) -> str:
    """List names, those that differ in numbers alone as one."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(re.sub(r"(?<=\.)\d+(?=\.)", "*", name), []).append(name)
    listed = [alike[0] if len(alike) == 1 else f"{kind} ({len(alike)})" for kind, alike in kinds.items()]
    more = f" and {len(listed) - SHOWN} more kinds" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"
