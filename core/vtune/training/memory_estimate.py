"""Estimate whether each stage of a run fits into memory, and choose the values of `auto` in a recipe by that.

With a GPU, the network is in the GPU's memory, and the host holds the program, the codec and the weights on their way.
Without one, the host holds everything. Only what must be in memory is counted, not the pages of weight files that the
system keeps as a cache.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from vtune.engines.memory import HOST_COPIES, Stage, adapter_bytes, merging_stage, program_bytes
from vtune.errors import TrainingError
from vtune.recipe import Recipe
from vtune.runtime.device import has_own_memory, pick_precision, weights_dtype
from vtune.runtime.memory import GIB, host_limit, memory_of
from vtune.types import Footprint

if TYPE_CHECKING:
    import torch

    from vtune.engines import Engine

_USABLE_FRACTION = 0.9
"""Share of the memory that a training is planned to fill; the rest is for what the estimate does not know."""

_TRAINING_MODULES_BYTES = 0.09 * GIB
"""Memory of what is imported after the encoding, which takes so much less: 0.31 to 0.39 of 0.45 GiB were measured."""

_AFTER_TRAINING_BYTES = 0.15 * GIB
"""Memory that stays in the process after a training: further modules and caches of libraries; measured."""


def piece_count(recipe: Recipe, processes: int) -> int:
    """Return into how many pieces a recipe divides the network: 1, if each process holds all of it."""
    return processes if recipe.train.sharding == "fsdp2" else 1


def training_bytes(footprint: Footprint, tokens: float, checkpointing: bool, pieces: int = 1) -> float:
    """Return the peak memory of training in one process in bytes.

    :param footprint: with the parameters that the method trains, see ``of_method``.
    :param tokens: tokens of one forward pass.
    :param pieces: see ``piece_count``.
    """
    per_token = footprint.token_bytes_checkpointed if checkpointing else footprint.token_bytes
    # Weight, gradient and Adam's two moments of what is trained.
    return _held(footprint, 4, pieces) + _gathered(footprint, pieces) + footprint.pass_bytes + tokens * per_token


def _held(footprint: Footprint, numbers: int, pieces: int = 1) -> float:
    """Return the bytes of the base, and of float32 numbers for each trained parameter: the adapter, its gradients and
    the optimizer's state, those of the parts included.

    An adapter is beside the base; full fine-tuning trains the base itself, which is in memory once.

    :param numbers: float32 numbers for each trained parameter, its weight included.
    """
    frozen = footprint.weight_bytes if footprint.trainable < footprint.parameters else 0
    return (frozen + 4 * numbers * (footprint.trainable + footprint.part_parameters)) / pieces


def _gathered(footprint: Footprint, pieces: int) -> float:
    """Return the bytes of weights that a process of a divided network gathers at a time, and of their gradients."""
    if pieces == 1:
        return 0
    weights = footprint.gathered_bytes or footprint.weight_bytes
    return weights * (1 if footprint.trainable < footprint.parameters else 2)


def stages(
    footprint: Footprint, recipe: Recipe, tokens: float, seconds: float, *, on_gpu: bool = False, processes: int = 1
) -> list[Stage]:
    """Estimate every stage of a run in order, and a merge after it, in one process.

    :param footprint: with the parameters that the method trains, see ``of_method``.
    :param recipe: without `auto`, see ``resolve_auto``.
    :param tokens: tokens of one forward pass.
    :param seconds: length of the longest clip.
    :param processes: over which the recipe may divide the network.
    """
    checkpointing = recipe.train.gradient_checkpointing is True
    pieces = piece_count(recipe, processes)
    weights, adapter = footprint.weight_bytes, adapter_bytes(footprint, recipe.train.method)
    layer = 3 * footprint.largest_bytes  # merging needs a copy of the weight, the update, and the product of A and B
    # While an optimizer's state is read, it is in memory twice, before the first forward pass.
    restoring = _held(footprint, 6, pieces)
    training = training_bytes(footprint, tokens, checkpointing, pieces)
    # A divided network is whole beside its pieces when they are made, read, saved and made to speak.
    beside = (weights + adapter) if pieces > 1 else 0.0
    checking = weights + max(3 * adapter, adapter + layer) + footprint.pass_bytes
    # The conditioning is made before the voice speaks, and the networks that listen stay in memory.
    speaking = footprint.listening_bytes + footprint.speaking_bytes
    scoring = _held(footprint, 4, pieces) + beside + speaking  # the optimizer's state stays in memory
    network = {
        "encoding": footprint.listening_bytes,
        "loading": weights + adapter + beside / pieces,
        "training": training,
        "resuming": max(training, restoring, beside + beside / pieces),
        **({"scoring checkpoints": scoring} if recipe.evaluate.checkpoint_sentences else {}),
        "checking": checking,
        "speaking": weights + adapter + speaking,
    }
    program, merging = program_bytes(footprint, on_gpu), merging_stage(footprint, recipe.train.method, on_gpu)
    if not on_gpu:
        extra = {
            "encoding": seconds * footprint.encoding_second_bytes - _TRAINING_MODULES_BYTES,
            "scoring checkpoints": _AFTER_TRAINING_BYTES,
            "checking": _AFTER_TRAINING_BYTES,
            "speaking": _AFTER_TRAINING_BYTES,
        }
        return [*(Stage(name, program + size + extra.get(name, 0)) for name, size in network.items()), merging]
    extra = {
        "encoding": seconds * footprint.encoding_second_bytes - _TRAINING_MODULES_BYTES,
        "loading": HOST_COPIES * footprint.tensor_bytes,
        "training": 12 * (footprint.trainable + footprint.part_parameters),  # a checkpoint on its way to the disk
        "resuming": 12 * (footprint.trainable + footprint.part_parameters),
        "checking": 2 * adapter,
    }
    return [*(Stage(name, program + extra.get(name, 0), size) for name, size in network.items()), merging]


def footprint_of(engine: Engine, recipe: Recipe, device: torch.device) -> Footprint | None:
    """Return the engine's estimate for a recipe on a device, with what its method trains and averages."""
    train = recipe.train
    width = weights_dtype(train.precision, device, train.method).itemsize
    products = 4 if pick_precision(train.precision, device) == "fp32" else 2
    footprint = engine.footprint(recipe.engine_options, recipe.lora.settings(), width, products)
    if footprint is None:
        return None
    footprint = of_method(footprint, train.method)
    averages = 4 * footprint.trainable if train.ema else 0
    return replace(footprint, pass_bytes=footprint.pass_bytes + averages)


def of_method(footprint: Footprint, method: str) -> Footprint:
    """Return a footprint with the number of parameters that the method trains."""
    return replace(footprint, trainable=footprint.parameters) if method == "full" else footprint


def require(
    footprint: Footprint | None, recipe: Recipe, device: torch.device, *, longest: float = 0, processes: int = 1
) -> None:
    """Refuse a run that does not fit into memory, before it starts.

    :param recipe: for `auto`, the value that needs least memory is taken.
    :param longest: tokens of the longest clip; 0 if unknown, which gives the lowest estimate.
    :param processes: processes on this machine; without a GPU they share its memory.
    :raises TrainingError: says in one line how much is needed, how much there is, and what to change.
    """
    if footprint is None:
        return
    train = recipe.train
    batch = 1 if train.batch_size == "auto" else int(train.batch_size)
    if train.gradient_checkpointing == "auto":
        recipe = recipe.model_copy(update={"train": train.model_copy(update={"gradient_checkpointing": True})})
    seconds = max(longest - footprint.tokens_per_clip, 0) / footprint.tokens_per_second
    on_gpu = has_own_memory(device)
    of_run = [
        stage
        for stage in stages(footprint, recipe, batch * longest, seconds, on_gpu=on_gpu, processes=processes)
        if stage.name != "merging"
    ]
    limit = host_limit()
    most = max(of_run, key=lambda stage: stage.host_bytes)
    places = [(most.name, most.host_bytes * processes, limit.size, f"of memory ({limit.whose})")]
    if on_gpu:
        most = max(of_run, key=lambda stage: stage.device_bytes)
        places.append((most.name, most.device_bytes, memory_of(device), "on the GPU"))
    for name, needed, have, where in places:
        if needed > have:
            steps = savings(recipe)
            if footprint.weight_bytes > have:  # nothing else helps
                steps = [step for step in steps if "quantization" in step]
            advice = "; ".join([*steps, "a machine with more memory"])
            raise TrainingError(
                f"this run does not fit into memory: {name} needs about {needed / GIB:.1f} GiB, and there are "
                f"{have / GIB:.1f} GiB {where}. Try, in this order: {advice}"
            )


def savings(recipe: Recipe) -> list[str]:
    """Return the settings that need less memory, the mildest first.

    :param recipe: without `auto`, see ``resolve_auto``.
    """
    train = recipe.train
    steps = []
    if train.batch_size != "auto" and int(train.batch_size) > 1:
        half = int(train.batch_size) // 2
        steps.append(f"train.batch_size={half} train.gradient_accumulation={train.gradient_accumulation * 2}")
    if train.gradient_checkpointing is False:
        steps.append("train.gradient_checkpointing=true")
    if train.method == "full":
        steps += ["train.sharding=fsdp2 on several GPUs"] * (train.sharding == "none")
        steps.append("train.method=lora")
    elif getattr(recipe.engine_options, "quantization", None) == "none":
        steps.append("engine_options.quantization=4bit (QLoRA; needs a GPU and the extra 'qlora')")
    if recipe.lora.rank > 8 and train.method != "full":
        steps.append(f"lora.rank={recipe.lora.rank // 2} lora.alpha={recipe.lora.alpha / 2:g}")
    return [*steps, "shorter clips (prepare.max_seconds)"]


def resolve_auto(
    recipe: Recipe, footprint: Footprint | None, longest: float, have: float, processes: int = 1
) -> Recipe:
    """Replace `auto` by values that fit into memory; the result of the training stays the same.

    Gradient checkpointing is switched on if the training does not fit without it. An automatic batch has as many of the
    clips of an optimizer step as fit. If an engine gives no estimate, it has one clip, without checkpointing.

    :param footprint: with the parameters that the method trains, see ``of_method``.
    :param longest: tokens of the longest clip.
    :param have: bytes of memory that training may take, see ``memory_for_training``.
    :param processes: over which the recipe may divide the network.
    """
    train, pieces = recipe.train, piece_count(recipe, processes)
    clips = train.gradient_accumulation
    sizes = (
        [n for n in range(clips, 0, -1) if clips % n == 0] if train.batch_size == "auto" else [int(train.batch_size)]
    )
    ways = [False, True] if train.gradient_checkpointing == "auto" else [bool(train.gradient_checkpointing)]
    size, checkpointing = sizes[-1], ways[0]
    if footprint is not None:
        candidates = ((n, way) for way in ways for n in sizes)
        limit = _USABLE_FRACTION * have
        fitting = ((n, way) for n, way in candidates if training_bytes(footprint, n * longest, way, pieces) <= limit)
        size, checkpointing = next(fitting, (sizes[-1], ways[-1]))
    resolved = {"batch_size": size, "gradient_checkpointing": checkpointing}
    if train.batch_size == "auto":
        resolved["gradient_accumulation"] = clips // size
    return recipe.model_copy(update={"train": train.model_copy(update=resolved)})


def memory_for_training(footprint: Footprint | None, device: torch.device, processes: int = 1) -> float:
    """Return the bytes that training itself may take; without a GPU, program and codec share the memory with it."""
    have = memory_of(device)
    if has_own_memory(device) or footprint is None:
        return have
    return max(have / processes - program_bytes(footprint, on_gpu=False), math.ulp(0))
