"""Whether a training fits into the memory there is, and what `auto` in a recipe comes to because of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vtune.recipe import Recipe
from vtune.types import Footprint

if TYPE_CHECKING:
    import torch

_SHARE = 0.9
"""Of the memory that a training may be planned to fill; the rest is for what no estimate knows."""


def memory_of(device: torch.device) -> float:
    """Bytes that the device has, taken or not."""
    import psutil
    import torch

    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[1])
    return float(psutil.virtual_memory().total)


def needed(footprint: Footprint, tokens: float, checkpointing: bool) -> float:
    """Bytes that training takes at its peak.

    :param footprint: with what is trained: of full fine-tuning, everything.
    :param tokens: of one pass.
    """
    per_token = footprint.token_bytes_checkpointed if checkpointing else footprint.token_bytes
    # Weight, gradient and Adam's two moments of what is trained, all float32, beside the base.
    return footprint.weight_bytes + 16 * footprint.trainable + footprint.pass_bytes + tokens * per_token


def of_method(footprint: Footprint, method: str) -> Footprint:
    """The same with what the method trains."""
    return replace(footprint, trainable=footprint.parameters) if method == "full" else footprint


def settle(recipe: Recipe, footprint: Footprint | None, longest: float, have: float) -> Recipe:
    """Put numbers in the place of `auto`; the result of the training stays the same.

    Checkpointing is switched on where it does not fit without. A batch of `auto` is as many of the clips of an
    optimizer step at once as fit. Where an engine gives no estimate, it is one clip, without checkpointing.

    :param longest: tokens of the longest clip.
    :param have: bytes of memory.
    """
    train = recipe.train
    clips = train.gradient_accumulation
    sizes = (
        [n for n in range(clips, 0, -1) if clips % n == 0] if train.batch_size == "auto" else [int(train.batch_size)]
    )
    ways = [False, True] if train.gradient_checkpointing == "auto" else [bool(train.gradient_checkpointing)]
    size, checkpointing = sizes[-1], ways[0]
    if footprint is not None:
        trained = of_method(footprint, train.method)
        candidates = ((size, way) for way in ways for size in sizes)
        fitting = (one for one in candidates if needed(trained, one[0] * longest, one[1]) <= _SHARE * have)
        size, checkpointing = next(fitting, (sizes[-1], ways[-1]))
    settled = {"batch_size": size, "gradient_checkpointing": checkpointing}
    if train.batch_size == "auto":
        settled["gradient_accumulation"] = clips // size
    return recipe.model_copy(update={"train": train.model_copy(update=settled)})
