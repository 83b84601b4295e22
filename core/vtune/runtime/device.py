"""Choose the device and the number format for training and synthesis, and return freed memory to the system."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vtune.errors import TrainingError

if TYPE_CHECKING:
    import torch


DEVICE_NAME = r"^(auto|cpu|mps|(cuda|xpu)(:[0-9]{1,3})?)$"
"""What a recipe or ``--device`` may name: an NVIDIA or AMD GPU, an Intel GPU, the GPU of a Mac, or the processor."""

DEVICE_RULE = "must be auto, cpu, cuda, cuda:1 (the second GPU), mps (a Mac) or xpu (an Intel GPU)"

_TITLES = {"cuda": "NVIDIA or AMD GPU", "xpu": "Intel GPU", "mps": "GPU of a Mac"}
"""Kinds of GPUs, the one that ``auto`` prefers first."""


def is_device_name(name: str) -> bool:
    """Tell whether a text may stand for a device, whether or not there is one here."""
    return re.fullmatch(DEVICE_NAME, name) is not None


def device_kinds() -> dict[str, int]:
    """Return how many GPUs of each kind torch can use here, by kind; only kinds of which there is one."""
    import torch

    xpu = getattr(torch, "xpu", None)
    counts = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "xpu": xpu.device_count() if xpu is not None and xpu.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    return {kind: counts[kind] for kind in _TITLES if counts[kind]}


def pick_device(name: str) -> torch.device:
    """Turn a name into this process's device: ``auto``, ``cpu``, ``mps``, ``cuda``, ``xpu``, or ``cuda:1``.

    A GPU that is named by its number becomes the current one of torch, so that libraries use it as well.

    :raises TrainingError: there is no such device here; says which there are.
    """
    import torch

    kinds = device_kinds()
    kind, _, number = name.partition(":")
    if kind == "auto":
        kind = next(iter(kinds), "cpu")
    if kind == "cpu":
        return torch.device("cpu")
    there = ", ".join(_names(kinds))
    if kind not in kinds:
        title = _TITLES.get(kind, "device of that name")
        raise TrainingError(
            f"the device is {name!r}, but torch finds no {title}; use {f'{there} or ' if there else ''}cpu, or run "
            "'vtune check', which says why"
        )
    if kind == "mps":
        return torch.device("mps")
    index = int(number or os.environ.get("LOCAL_RANK", "0"))
    if index >= kinds[kind]:
        raise TrainingError(f"the device is {name!r}, but there is no GPU of that number; use {there} or cpu")
    if number:
        torch.get_device_module(kind).set_device(index)
    return torch.device(kind, index)


def _names(kinds: Mapping[str, int]) -> Iterator[str]:
    """Yield the name of each GPU; the GPU of a Mac has no number."""
    for kind, count in kinds.items():
        yield from [kind] if kind == "mps" else [f"{kind}:{index}" for index in range(count)]


def has_own_memory(device: torch.device) -> bool:
    """Tell whether a device has memory beside that of the machine; the GPU of a Mac shares it."""
    return device.type in ("cuda", "xpu")


def pick_precision(name: str, device: torch.device) -> str:
    """Turn ``auto`` into ``bf16``, ``fp16`` or ``fp32``; see ``train.precision``.

    On a Mac ``auto`` is fp32: bf16 needs a new system there, and nobody has tried either.

    :raises TrainingError: fp16 on a CPU.
    """
    import torch

    if name == "fp16" and device.type == "cpu":
        raise TrainingError("train.precision is 'fp16', but a CPU cannot train in fp16; use 'fp32' or 'bf16'")
    if name != "auto":
        return name
    if device.type == "cpu":
        return "bf16" if _multiplies_bf16() else "fp32"
    if device.type == "mps":
        return "fp32"
    if device.type == "xpu":
        return "bf16" if torch.xpu.is_bf16_supported() else "fp16"
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
    for kind in device_kinds():
        torch.get_device_module(kind).empty_cache()
    trim_heap()


@contextmanager
def preserved_device_rng() -> Iterator[None]:
    """Put the random state of every GPU back after this block."""
    import torch

    states = {}
    for kind in device_kinds():
        module = torch.get_device_module(kind)
        states[kind] = module.get_rng_state() if kind == "mps" else module.get_rng_state_all()
    try:
        yield
    finally:
        for kind, state in states.items():
            module = torch.get_device_module(kind)
            module.set_rng_state(state) if kind == "mps" else module.set_rng_state_all(state)


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


_MISSING_OPERATION = re.compile(
    r"(aten::[\w.]+).*? for the '?(\w+)'? (?:device|backend)|'(aten::[\w.]+)' with arguments from the '(\w+)' backend",
    re.IGNORECASE | re.DOTALL,
)


def missing_operation(error: BaseException) -> str | None:
    """Return one line about an operation that torch does not have for a device; None if the error is another.

    >>> missing_operation(NotImplementedError("'aten::a' is not implemented for the MPS device"))
    'torch cannot compute aten::a on mps; use --device cpu or train.device=cpu, or another version of torch'
    """
    match = _MISSING_OPERATION.search(str(error)) if isinstance(error, NotImplementedError) else None
    if match is None:
        return None
    operation, device = match[1] or match[3], (match[2] or match[4]).lower()
    if device not in _TITLES:
        return None
    return (
        f"torch cannot compute {operation} on {device}; use --device cpu or train.device=cpu, or another version of "
        "torch"
    )


def _multiplies_bf16() -> bool:
    """Tell whether the CPU has instructions for products in bf16; without them bf16 is slower than float32."""
    import torch

    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in every torch
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
