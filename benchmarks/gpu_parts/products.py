"""How fast the device multiplies matrices: what all shares of its speed are compared with."""

from __future__ import annotations

import time
from typing import Any

import torch
from machine import machine

from gpu_parts.parts import Settings

DATA_SHEET_TFLOPS = {
    "H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "RTX 5090": 210, "RTX 4090": 165, "RTX 3090": 71,
}  # fmt: skip
"""Dense products in bf16 with sums in float32, from the data sheets of NVIDIA, by a part of the device's name."""


def measure(settings: Settings) -> dict[str, Any]:
    """Multiply square matrices in bf16 for a while."""
    size = 64 if settings.small else 8192
    with torch.device(settings.device):
        first, second = (torch.randn(size, size, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        first @ second
    synchronize(settings.device)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < min(settings.seconds, 2.0):
        for _ in range(10):
            first @ second
        synchronize(settings.device)
        count += 10
    speed = 2 * size**3 * count / (time.perf_counter() - began)
    name = torch.cuda.get_device_name() if settings.device == "cuda" else "CPU"
    sheet = next((value for part, value in DATA_SHEET_TFLOPS.items() if part in name), None)
    memory = torch.cuda.mem_get_info()[1] if settings.device == "cuda" else 0
    return {"tflops": speed / 1e12, "data_sheet_tflops": sheet, "memory_bytes": memory}


def describe(settings: Settings) -> dict[str, Any]:
    """Return the hardware and the versions, without what differs at every moment."""
    found = machine(settings.device, torch.get_num_threads(), small=settings.small)
    del found["load"]
    return {"machine": found}


def synchronize(device: str) -> None:
    """Wait until a GPU has done everything that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def peak_bytes(device: str) -> int:
    """Return the largest number of bytes that tensors have had on a GPU; 0 on a CPU."""
    return int(torch.cuda.max_memory_allocated()) if device == "cuda" else 0


def require_cuda(settings: Settings) -> None:
    """:raises NotRunError: there is no GPU."""
    from gpu_parts.parts import NotRunError

    if settings.device != "cuda":
        raise NotRunError("needs a CUDA GPU")
