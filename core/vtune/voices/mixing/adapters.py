"""Add adapters up: the sum's change of each weight is the weighted sum of the parts' changes.

``sum_i w_i s_i B_i A_i`` is one product: the ``A_i`` stacked, each times ``w_i s_i``, and the ``B_i`` side by side. Its
rank is the sum of the ranks and its own scale is 1, whatever alpha, rslora and patterns the parts have. (PEFT's
``add_weighted_adapter`` of the kind ``cat`` does the same, but scales the sum by the root of its rank after rslora.)
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from vtune.errors import TrainingError, VoiceError, listed, shown
from vtune.toolkit.rank_patterns import ModuleScale, largest_rank, module_scales
from vtune.types import LoraSettings
from vtune.voice_format.weights import module_of, read_adapter
from vtune.voices.mixing.parts import MixPart

if TYPE_CHECKING:
    import torch

Adapter = dict[str, "torch.Tensor"]
"""Tensors by the names of PEFT's file: of a module with ``A`` ``[r, in, ...]`` and ``B`` ``[out, r, ...]``."""

_DOWN = re.compile(r"(.+\.lora_(?:embedding_)?)A((?:\.weight)?)")

_NARROWING = ("layers_to_transform", "exclude_modules")
"""Arguments by which an adapter leaves out modules that its targets name."""


def mixed_rank(shapes: Sequence[LoraSettings]) -> int:
    """Return the rank of a sum of adapters: all ranks together."""
    return sum(map(largest_rank, shapes))


def mixed_shape(shapes: Sequence[LoraSettings], mixed: Adapter) -> LoraSettings:
    """Return the shape of a sum of adapters: the modules of any part, all ranks together, scale 1.

    :param mixed: the sum, which has the names of the modules where targets alone do not tell them.
    """
    rank = mixed_rank(shapes)
    targets = tuple(dict.fromkeys(target for shape in shapes for target in shape.targets))
    if any(shape.arguments.get(argument) for shape in shapes for argument in _NARROWING):
        targets = tuple(dict.fromkeys(module_of(down) for down, _ in pairs(mixed)))
    return LoraSettings(rank=rank, alpha=rank, targets=targets)


def pairs(adapter: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, str]]:
    """Yield the names of each ``A`` with its ``B``."""
    for name in adapter:
        if match := _DOWN.fullmatch(name):
            yield name, f"{match[1]}B{match[2]}"


def add_up(parts: Sequence[MixPart]) -> Adapter:
    """Read the parts' adapters and add them up, each times its weight, in float32.

    A module that only some of the parts adapt has zeros for the others.

    :raises VoiceError: an adapter is missing, damaged, or not of the shape that its voice.json says.
    """
    import torch

    adapters = [read_adapter(part.folder.path) for part in parts]
    scales = [_checked_scales(part, adapter) for part, adapter in zip(parts, adapters, strict=True)]
    _require_same_shapes(parts, adapters)
    rank = mixed_rank([part.lora for part in parts])
    # Beside the pairs PEFT keeps the base's own embeddings where an adapter sits on them; all parts have the same ones.
    mixed: Adapter = {name: tensor for adapter in adapters for name, tensor in adapter.items()}
    for down, up in dict.fromkeys(pair for adapter in adapters for pair in pairs(adapter)):
        module = module_of(down)
        halves = [
            (part.weight * scale[module].scaling * adapter[down].float(), adapter[up].float())
            for part, scale, adapter in zip(parts, scales, adapters, strict=True)
            if down in adapter
        ]
        mixed[down] = _padded(torch.cat([half for half, _ in halves], dim=0), 0, rank)
        mixed[up] = _padded(torch.cat([half for _, half in halves], dim=1), 1, rank)
    return mixed


def compress(adapter: Mapping[str, torch.Tensor], rank: int) -> tuple[Adapter, float]:
    """Return the nearest adapter of a rank, by SVD of each module's product, and what that leaves out.

    :param adapter: of scale 1, as ``add_up`` returns it; so is what is returned.
    :returns: the adapter, and the Frobenius norm of the difference over all modules as a share of the whole's.
    """
    import torch

    smaller: Adapter = dict(adapter)
    lost = total = 0.0
    for down, up in pairs(adapter):
        a, b = adapter[down].double(), adapter[up].double()
        # The product may be as large as the network's weight; the triangles of its factors hold its singular values.
        left, left_triangle = torch.linalg.qr(b.flatten(1))
        right, right_triangle = torch.linalg.qr(a.flatten(1).T)
        u, values, v = torch.linalg.svd(left_triangle @ right_triangle.T, full_matrices=False)
        root = values[:rank].sqrt()
        new_a = _padded(root[:, None] * v[:rank] @ right.T, 0, rank)
        new_b = _padded(left @ u[:, :rank] * root, 1, rank)
        smaller[down] = new_a.reshape(rank, *a.shape[1:]).float()
        smaller[up] = new_b.reshape(len(b), rank, *b.shape[2:]).float()
        lost += float(values[rank:].square().sum())
        total += float(values.square().sum())
    return smaller, math.sqrt(lost / total) if total else 0.0


def _checked_scales(part: MixPart, adapter: Adapter) -> dict[str, ModuleScale]:
    """Return the scale of each module of a part's adapter, whose halves are those that its voice.json says."""
    halves = dict(pairs(adapter))
    alone = [name for name in adapter if ".lora_" in name and name not in {*halves, *halves.values()}]
    if alone:
        raise VoiceError(
            f"voice {part.name!r}: {listed(alone)} is not a whole pair of an adapter; make the voice again"
        )
    try:
        scales = module_scales(part.lora, [module_of(down) for down in halves])
    except TrainingError as error:
        raise VoiceError(f"voice {part.name!r}: {error}") from error
    for down, up in halves.items():
        rank = scales[module_of(down)].rank
        is_complete = up in adapter and min(adapter[down].ndim, adapter[up].ndim) > 1
        if not is_complete or len(adapter[down]) != rank or adapter[up].shape[1] != rank:
            raise VoiceError(
                f"voice {part.name!r}: {down} is not half of a pair of rank {rank}, as its voice.json says; "
                "make the voice again"
            )
    return scales


def _require_same_shapes(parts: Sequence[MixPart], adapters: Sequence[Adapter]) -> None:
    """Refuse parts whose tensors differ in more than their rank: they are of another network."""
    first: dict[str, tuple[tuple[int, ...], MixPart]] = {}
    for part, adapter in zip(parts, adapters, strict=True):
        halves = dict(pairs(adapter))
        for name, tensor in adapter.items():
            axis = 0 if name in halves else 1 if name in halves.values() else None
            shape = tuple(size for index, size in enumerate(tensor.shape) if index != axis)
            other, theirs = first.setdefault(name, (shape, part))
            if shape != other:
                raise VoiceError(
                    f"voice {part.name!r}: {shown(name)} differs in shape from that of {theirs.name!r}; only voices of "
                    "one base can be mixed"
                )


def _padded(tensor: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    import torch

    shape = list(tensor.shape)
    shape[axis] = size - shape[axis]
    return torch.cat([tensor, tensor.new_zeros(shape)], dim=axis)
