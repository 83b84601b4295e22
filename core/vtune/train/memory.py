"""Memory given back behind a training; and out of memory: which errors mean it, and what to do about it."""

from __future__ import annotations

import ctypes
import gc
import sys

import torch
from torch import nn

from vtune.errors import TrainingError
from vtune.recipe import Recipe

_SIGNS = ("out of memory", "can't allocate memory", "DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED")


def release(model: nn.Module) -> None:
    """Give back what training held: the model's gradients, whatever only cycles keep, and what allocators hold back."""
    model.zero_grad(set_to_none=True)
    gc.collect()  # Trainer, its accelerator and the optimizer refer to each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
        if trim is not None:
            trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or Python says that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def advice(recipe: Recipe, lengths: list[int]) -> TrainingError:
    """Return an error that says what was asked for and which settings would ask for less, the mildest first.

    :param recipe: settled, see ``vtune.room``.
    """
    train = recipe.train
    batch = int(train.batch_size)
    longest = max(lengths, default=0)
    steps = []
    if batch > 1:
        half = batch // 2
        steps.append(f"train.batch_size={half} train.gradient_accumulation={train.gradient_accumulation * 2}")
    if not train.gradient_checkpointing:
        steps.append("train.gradient_checkpointing=true")
    if train.method == "full":
        steps.append("train.method=lora")
    elif getattr(recipe.engine_options, "quantization", None) == "none":
        steps.append("engine_options.quantization=4bit (QLoRA; needs a GPU and the extra 'qlora')")
    if recipe.lora.rank > 8 and train.method != "full":
        steps.append(f"lora.rank={recipe.lora.rank // 2} lora.alpha={recipe.lora.alpha / 2:g}")
    steps.append("shorter clips (prepare.max_seconds)")
    have = ""
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        have = f"; the GPU has {total / 2**30:.1f} GiB, {free / 2**30:.1f} free now"
    return TrainingError(
        f"out of memory with batches of {batch} clips of up to {longest:,} tokens "
        f"({batch * longest:,} a pass){have}. In this order, try: {'; '.join(steps)}"
    )
