"""Choose the device and the number format for training and synthesis, and return freed memory to the system."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from typing import TYPE_CHECKING, Any

from vtune.errors import TrainingError

if TYPE_CHECKING:
    import torch


def pick_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu`` or ``cuda`` into this process's device. :raises TrainingError: there is no GPU."""
    import torch

    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise TrainingError("the device is 'cuda', but torch finds no GPU; use device 'cpu', or check the GPU driver")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def pick_precision(name: str, device: torch.device) -> str:
    """Turn ``auto`` into ``bf16``, ``fp16`` or ``fp32``; see ``train.precision``.

    :raises TrainingError: fp16 on a CPU.
    """
    import torch

    if name == "fp16" and device.type == "cpu":
        raise TrainingError("train.precision is 'fp16', but a CPU cannot train in fp16; use 'fp32' or 'bf16'")
    if name != "auto":
        return name
    if device.type == "cpu":
        return "bf16" if _multiplies_bf16() else "fp32"
    # A T4 computes bf16 by conversions to float32, many times slower than fp16, and torch counts that as support.
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def weights_dtype(name: str, device: torch.device, method: str) -> torch.dtype:
    """Return the dtype of the loaded network: half precision for a frozen base, float32 if every weight is trained.

    With ``auto`` on a CPU the weights stay float32 and products are computed in bf16 during training, which is as fast
    as with bf16 weights (``benchmarks/README.md``); the voice then sounds the same as on any other machine.
    """
    import torch

    if method == "full" or (name == "auto" and device.type == "cpu"):
        return torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[pick_precision(name, device)]


def release_memory() -> None:
    """Return freed memory to the system: collect reference cycles, and empty the caches of the allocators."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim_heap()


def trim_heap() -> None:
    """Return the holes of the C heap to the system, which takes a few milliseconds; only glibc can do it.

    The holes grow with each tensor of a new length: six clips of 3 to 5 s, encoded by SNAC one after another, left
    0.8 GiB of holes, and none when this function was called after each clip.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)


_MEMORY_MESSAGES = ("out of memory", "can't allocate memory", "DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of torch or Python means that memory ran out."""
    if isinstance(error, MemoryError):
        return True
    # torch.OutOfMemoryError is a RuntimeError whose message says "out of memory". The other text is all that oneDNN
    # says on a CPU when it gets no memory for its work (seen under `ulimit -v`).
    text = str(error).strip()
    return isinstance(error, RuntimeError) and (
        text == "could not create a primitive" or any(message in text for message in _MEMORY_MESSAGES)
    )


def _multiplies_bf16() -> bool:
    """Tell whether the CPU has instructions for products in bf16; without them bf16 is slower than float32."""
    import torch

    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in every torch
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
