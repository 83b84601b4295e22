"""Which device and which number format: one answer for training and for speaking; and memory that is given back."""

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
        raise TrainingError("device 'cuda' was asked for, but torch sees no GPU; use 'cpu' or mend the driver")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def pick_precision(name: str, device: torch.device) -> str:
    """Turn ``auto`` into ``bf16``, ``fp16`` or ``fp32``; see ``train.precision``."""
    import torch

    if name == "fp16" and device.type == "cpu":
        raise TrainingError("train.precision is 'fp16', which the CPU cannot train in; use fp32 or bf16")
    if name != "auto":
        return name
    if device.type == "cpu":
        return "bf16" if _multiplies_bf16() else "fp32"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


def weights_dtype(name: str, device: torch.device, method: str) -> torch.dtype:
    """The dtype of the loaded network: half precision for a frozen base, float32 where every weight is trained.

    A CPU that chooses for itself keeps float32 weights and multiplies in bf16 while it trains, which is as fast as with
    bf16 weights (``benchmarks/README.md``), and it speaks as any other machine does.
    """
    import torch

    if method == "full" or (name == "auto" and device.type == "cpu"):
        return torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[pick_precision(name, device)]


def release_memory() -> None:
    """Give freed memory back to the system: what only cycles keep, and what the allocators hold back."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim_heap()


def trim_heap() -> None:
    """Give the holes of the C heap back, some milliseconds' work; only where glibc is.

    They grow with each tensor of another length than those before: six clips of 3 to 5 s, encoded by SNAC one after
    the other, left 0.8 GiB of holes, and none with this behind each.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)


def _multiplies_bf16() -> bool:
    """Whether the CPU has instructions for products in bf16; without them bf16 is slower than float32."""
    import torch

    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in every torch
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
