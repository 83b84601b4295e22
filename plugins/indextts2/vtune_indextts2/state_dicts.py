"""Load state dicts of the official files into networks, strictly: every tensor that does not fit is named."""

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

MAX_LISTED_KINDS = 5
"""Kinds of tensor names that an error lists."""

MAX_LISTED_CHARACTERS = 400
"""Characters of all lists in one error."""

Tensors = dict[str, torch.Tensor]


class StateDictError(EngineError):
    """A file does not hold the expected network. The attributes hold whole lists; the message shortens them."""

    def __init__(
        self, where: str, count: int, missing: Sequence[str], misshapen: Sequence[str], unexpected: Sequence[str]
    ) -> None:
        self.missing, self.misshapen, self.unexpected = missing, misshapen, unexpected
        groups = (("missing", missing), ("of another shape", misshapen), ("unexpected", unexpected))
        problems = "; ".join(f"{len(names)} {what}: {_some(names)}" for what, names in groups if names)
        listed = shorten(problems, MAX_LISTED_CHARACTERS, placeholder=" ...")
        super().__init__(f"{where} does not hold this network ({count} tensors): {listed}")


def flatten_state_dict(tree: Any, path: Path) -> Tensors:
    """Flatten nested dictionaries to tensors by dotted name, without a leading ``module.``.

    ``{"net": {"a": tensor}}`` becomes ``{"net.a": tensor}``.

    :raises EngineError: the content is not a dictionary of tensors.
    """
    if not isinstance(tree, Mapping):
        raise EngineError(f"{path} holds {_kind(tree)} instead of a dictionary of tensors")
    tensors: Tensors = {}
    for name, value in tree.items():
        if isinstance(value, torch.Tensor):
            tensors[str(name).removeprefix("module.")] = value
        elif isinstance(value, Mapping):
            tensors.update({f"{name}.{inner}": tensor for inner, tensor in flatten_state_dict(value, path).items()})
    return tensors


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


def drop_entries(tensors: Mapping[str, torch.Tensor], patterns: Iterable[str]) -> Tensors:
    """Return the entries whose names match none of the patterns, such as ``decoder.*``."""
    patterns = tuple(patterns)
    return {name: t for name, t in tensors.items() if not any(fnmatchcase(name, pattern) for pattern in patterns)}


def load_strictly(
    network: nn.Module, tensors: Mapping[str, torch.Tensor], where: str, unused: Iterable[str] = ()
) -> list[str]:
    """Load ``tensors`` into a network by name; the network may have been built on the meta device.

    :param where: the file, for messages.
    :param unused: patterns (``decoder.*``) of entries that the network does not need.
    :returns: unexpected entries; they are logged and ignored, because newer files may hold more.
    :raises StateDictError: a tensor is missing or has another shape.
    """
    kept = drop_entries(tensors, unused)
    expected = network.state_dict()
    missing = sorted(expected.keys() - kept.keys())
    unexpected = sorted(kept.keys() - expected.keys())
    misshapen = [
        f"{name} is {list(kept[name].shape)}, should be {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in kept and kept[name].shape != tensor.shape
    ]
    if missing or misshapen:
        raise StateDictError(where, len(expected), missing, misshapen, unexpected)
    if unexpected:
        logger.warning("%s: %d entries are not used: %s", where, len(unexpected), _some(unexpected))
    network.load_state_dict({name: kept[name] for name in expected}, assign=True)
    return unexpected


def _some(names: Sequence[str]) -> str:
    """List names; names that differ only in numbers count as one kind."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(re.sub(r"(?<=\.)\d+(?=\.)", "*", name), []).append(name)
    listed = [group[0] if len(group) == 1 else f"{kind} ({len(group)})" for kind, group in kinds.items()]
    more = f" and {len(listed) - MAX_LISTED_KINDS} more kinds" if len(listed) > MAX_LISTED_KINDS else ""
    return ", ".join(listed[:MAX_LISTED_KINDS]) + more


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"
