"""Whether a run fits into the memory there is, stage by stage, and what `auto` in a recipe comes to because of it.

On a GPU the network is in its memory, and the host has the program, the codec and what passes through. On a CPU all is
in the host's. Counted is what must be in memory: pages of a weight file that the system keeps beside it are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vtune.errors import TrainingError
from vtune.recipe import Recipe
from vtune.runtime.device import pick_precision, weights_dtype
from vtune.types import Footprint

if TYPE_CHECKING:
    import torch

    from vtune.engines import Engine

GIB = 2**30

_SHARE = 0.9
"""Of the memory that a training may be planned to fill; the rest is for what no estimate knows."""

_PROGRAM_BYTES = 0.45 * GIB
"""Python, torch, transformers and what they make for themselves, measured on a CPU."""

_BEHIND_TRAINING_BYTES = 0.15 * GIB
"""What a training adds to the process and leaves there: further modules, and what libraries keep; measured."""

_CUDA_BYTES = 1.5 * GIB
"""What CUDA's context and libraries take of the host beside it; from experience, not measured here."""

_IN_PASSING = 2
"""The largest tensor is on the host so often while it goes to a GPU: narrowed, and on its way (measured)."""

_SHARD_BYTES = 2 * 10**9
"""Of a merged network on a GPU that are on the host at a time, while it is written."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Bytes that one stage of a run takes at its peak; of the device only where that is a GPU."""

    name: str
    host_bytes: float
    device_bytes: float = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """Bytes that there are, and whose limit they are."""

    size: float
    whose: str


def memory_of(device: torch.device) -> float:
    """Bytes that the device has, taken or not."""
    import torch

    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[1])
    return host_limit().size


def host_limit() -> Limit:
    """Return the least of what the machine has, of what the control group may take, and of ``ulimit -v``."""
    import psutil

    limits = [Limit(float(psutil.virtual_memory().total), "the machine"), *_control_groups(), *_address_space()]
    return min(limits, key=lambda limit: limit.size)


def _control_groups(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[Limit]:
    """Yield the limits of this process's control groups and of those around them, of both versions of cgroup."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        folder, file = (root, "memory.max") if not controllers else (root / "memory", "memory.limit_in_bytes")
        group = folder / path.strip("/")
        # In a container the path may be that of the host; what limits it lies at the root then.
        for place in (group, *(parent for parent in group.parents if parent.is_relative_to(folder))):
            try:
                said = (place / file).read_text(encoding="utf-8").strip()
            except OSError:
                continue
            if said.isdigit():
                yield Limit(float(said), "the control group")


def _address_space() -> Iterator[Limit]:
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        yield Limit(float(limit), "ulimit -v")


def needed(footprint: Footprint, tokens: float, checkpointing: bool) -> float:
    """Bytes that training takes at its peak.

    :param footprint: with what is trained: of full fine-tuning, everything.
    :param tokens: of one pass.
    """
    per_token = footprint.token_bytes_checkpointed if checkpointing else footprint.token_bytes
    # Weight, gradient and Adam's two moments of what is trained.
    return _held(footprint, 4) + footprint.pass_bytes + tokens * per_token


def _held(footprint: Footprint, numbers: int) -> float:
    """Bytes of the base and of so many float32 numbers a trained one, its weight among them.

    An adapter lies beside the base; full fine-tuning trains the base itself, which is there once.
    """
    frozen = footprint.weight_bytes if footprint.trainable < footprint.parameters else 0
    return frozen + 4 * numbers * footprint.trainable


def stages(footprint: Footprint, recipe: Recipe, tokens: float, seconds: float, *, on_gpu: bool = False) -> list[Stage]:
    """Count every stage of a run, in their order, and merging behind it.

    :param footprint: with what is trained, see ``of_method``.
    :param recipe: settled.
    :param tokens: of one pass; ``seconds`` of the longest clip.
    """
    checkpointing = recipe.train.gradient_checkpointing is True
    weights, adapter = footprint.weight_bytes, 4 * footprint.trainable * (recipe.train.method == "lora")
    layer = 3 * footprint.largest_bytes  # merged: a copy of its weight, what is added, and the product of both halves
    # What is read of an optimizer's state lies beside the state for a moment, before the first pass.
    restoring = _held(footprint, 6)
    training = needed(footprint, tokens, checkpointing)
    checking = weights + max(3 * adapter, adapter + layer) + footprint.pass_bytes
    # A voice's conditioning is made before it speaks, and what listened stays.
    speaking = footprint.listening_bytes + footprint.speaking_bytes
    scoring = _held(footprint, 4) + speaking  # the optimizer's state waits meanwhile
    network = {
        "encoding": footprint.listening_bytes,
        "loading": weights + adapter,
        "training": training,
        "resuming": max(training, restoring),
        **({"scoring checkpoints": scoring} if recipe.evaluate.checkpoint_sentences else {}),
        "checking": checking,
        "speaking": weights + adapter + speaking,
        "merging": 4 * footprint.parameters + adapter + layer,
    }
    if not on_gpu:
        passing = {
            "encoding": seconds * footprint.encoding_second_bytes,
            "scoring checkpoints": _BEHIND_TRAINING_BYTES,
            "checking": _BEHIND_TRAINING_BYTES,
            "speaking": _BEHIND_TRAINING_BYTES,
        }
        program = _PROGRAM_BYTES + footprint.codec_bytes
        return [Stage(name, program + size + passing.get(name, 0)) for name, size in network.items()]
    program = _PROGRAM_BYTES + _CUDA_BYTES + footprint.codec_bytes
    passing = {
        "encoding": seconds * footprint.encoding_second_bytes,
        "loading": _IN_PASSING * footprint.tensor_bytes,
        "training": 12 * footprint.trainable,  # a checkpoint on its way to the disk
        "resuming": 12 * footprint.trainable,
        "checking": 2 * adapter,
        "merging": min(_SHARD_BYTES, 4 * footprint.parameters),
    }
    return [Stage(name, program + passing.get(name, 0), size) for name, size in network.items()]


def footprint_of(engine: Engine, recipe: Recipe, device: torch.device) -> Footprint | None:
    """Ask an engine what a recipe's training takes on a device, with what its method trains."""
    train = recipe.train
    width = weights_dtype(train.precision, device, train.method).itemsize
    products = 4 if pick_precision(train.precision, device) == "fp32" else 2
    footprint = engine.footprint(recipe.engine_options, recipe.lora.settings(), width, products)
    return None if footprint is None else of_method(footprint, train.method)


def of_method(footprint: Footprint, method: str) -> Footprint:
    """The same with what the method trains."""
    return replace(footprint, trainable=footprint.parameters) if method == "full" else footprint


def require(
    footprint: Footprint | None, recipe: Recipe, device: torch.device, *, longest: float = 0, processes: int = 1
) -> None:
    """Refuse a run that cannot be held, before it has begun.

    :param recipe: settled, or as the user wrote it; `auto` is then the least that it may become.
    :param longest: tokens of the longest clip; 0 where nobody knows yet, which asks for the least.
    :param processes: on this machine; on a CPU each holds everything.
    :raises TrainingError: says in one line how much is needed, how much there is, and what to change.
    """
    if footprint is None:
        return
    train = recipe.train
    batch = 1 if train.batch_size == "auto" else int(train.batch_size)
    if train.gradient_checkpointing == "auto":
        recipe = recipe.model_copy(update={"train": train.model_copy(update={"gradient_checkpointing": True})})
    seconds = max(longest - footprint.tokens_per_clip, 0) / footprint.tokens_per_second
    on_gpu = device.type == "cuda"
    of_run = [
        stage for stage in stages(footprint, recipe, batch * longest, seconds, on_gpu=on_gpu) if stage.name != "merging"
    ]
    limit = host_limit()
    most = max(of_run, key=lambda stage: stage.host_bytes)
    places = [(most.name, most.host_bytes * processes, limit.size, f"of memory ({limit.whose})")]
    if on_gpu:
        most = max(of_run, key=lambda stage: stage.device_bytes)
        places.append((most.name, most.device_bytes, memory_of(device), "on the GPU"))
    for name, wanted, have, where in places:
        if wanted > have:
            steps = savings(recipe)
            if footprint.weight_bytes > have:  # nothing else helps
                steps = [step for step in steps if "quantization" in step]
            told = "; ".join([*steps, "a machine with more memory"])
            raise TrainingError(
                f"this run does not fit: {name} needs about {wanted / GIB:.1f} GiB, and there are {have / GIB:.1f} GiB "
                f"{where}. In this order, try: {told}"
            )


def savings(recipe: Recipe) -> list[str]:
    """Name the settings that would ask for less memory, the mildest first.

    :param recipe: settled.
    """
    train = recipe.train
    steps = []
    if train.batch_size != "auto" and int(train.batch_size) > 1:
        half = int(train.batch_size) // 2
        steps.append(f"train.batch_size={half} train.gradient_accumulation={train.gradient_accumulation * 2}")
    if train.gradient_checkpointing is False:
        steps.append("train.gradient_checkpointing=true")
    if train.method == "full":
        steps.append("train.method=lora")
    elif getattr(recipe.engine_options, "quantization", None) == "none":
        steps.append("engine_options.quantization=4bit (QLoRA; needs a GPU and the extra 'qlora')")
    if recipe.lora.rank > 8 and train.method != "full":
        steps.append(f"lora.rank={recipe.lora.rank // 2} lora.alpha={recipe.lora.alpha / 2:g}")
    return [*steps, "shorter clips (prepare.max_seconds)"]


def settle(recipe: Recipe, footprint: Footprint | None, longest: float, have: float) -> Recipe:
    """Put numbers in the place of `auto`; the result of the training stays the same.

    Checkpointing is switched on where it does not fit without. A batch of `auto` is as many of the clips of an
    optimizer step at once as fit. Where an engine gives no estimate, it is one clip, without checkpointing.

    :param footprint: with what is trained, see ``of_method``.
    :param longest: tokens of the longest clip.
    :param have: bytes of memory that training may take, see ``room_for_training``.
    """
    train = recipe.train
    clips = train.gradient_accumulation
    sizes = (
        [n for n in range(clips, 0, -1) if clips % n == 0] if train.batch_size == "auto" else [int(train.batch_size)]
    )
    ways = [False, True] if train.gradient_checkpointing == "auto" else [bool(train.gradient_checkpointing)]
    size, checkpointing = sizes[-1], ways[0]
    if footprint is not None:
        candidates = ((size, way) for way in ways for size in sizes)
        fitting = (one for one in candidates if needed(footprint, one[0] * longest, one[1]) <= _SHARE * have)
        size, checkpointing = next(fitting, (sizes[-1], ways[-1]))
    settled = {"batch_size": size, "gradient_checkpointing": checkpointing}
    if train.batch_size == "auto":
        settled["gradient_accumulation"] = clips // size
    return recipe.model_copy(update={"train": train.model_copy(update=settled)})


def room_for_training(footprint: Footprint | None, device: torch.device, processes: int = 1) -> float:
    """Bytes that training itself may take of the device: of a CPU's memory the program and the codec have a part."""
    have = memory_of(device)
    if device.type == "cuda" or footprint is None:
        return have
    return max(have / processes - _PROGRAM_BYTES - footprint.codec_bytes, math.ulp(0))
