"""What an opened engine takes of memory, in stages that training and speaking share."""

from __future__ import annotations

from dataclasses import dataclass

from vtune.runtime.memory import GIB
from vtune.types import Footprint

PROGRAM_BYTES = 0.45 * GIB
"""Memory of Python, torch, transformers and their caches, measured on a CPU."""

CUDA_BYTES = 1.5 * GIB
"""Host memory of CUDA's context and libraries; from experience, not measured here."""

HOST_COPIES = 2
"""Copies of the largest tensor on the host while it goes to a GPU: the cast one and the one in transfer (measured)."""

SHARD_BYTES = 2 * 10**9
"""Bytes of a merged network on a GPU that are on the host at a time while it is written."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Peak memory of one stage of a run, in bytes; ``device_bytes`` is 0 without a GPU."""

    name: str
    host_bytes: float
    device_bytes: float = 0


def program_bytes(footprint: Footprint, on_gpu: bool) -> float:
    """Return the host memory of the program and the codec."""
    return PROGRAM_BYTES + footprint.codec_bytes + CUDA_BYTES * on_gpu


def adapter_bytes(footprint: Footprint, method: str) -> int:
    """Return the bytes of an adapter in float32; none for a network that was trained as a whole."""
    return 4 * footprint.trainable * (method == "lora")


def speaking_stage(footprint: Footprint, method: str, on_gpu: bool) -> Stage:
    """Estimate a finished voice that speaks, with the weights as the footprint counts them."""
    network = footprint.weight_bytes + adapter_bytes(footprint, method) + footprint.speaking_bytes
    if not on_gpu:
        return Stage("speaking", program_bytes(footprint, on_gpu) + network)
    return Stage("speaking", program_bytes(footprint, on_gpu) + HOST_COPIES * footprint.tensor_bytes, network)


def merging_stage(footprint: Footprint, method: str, on_gpu: bool, networks: int = 1, name: str = "merging") -> Stage:
    """Estimate a merge, or another export, in float32.

    It needs a copy of one weight, its update, and the product of the adapter's two matrices beside the network. The
    parts that have encoded the prompts are still in memory.

    :param networks: how many of the network are whole in memory at once.
    """
    network = networks * 4 * footprint.parameters + adapter_bytes(footprint, method) + 3 * footprint.largest_bytes
    network += footprint.listening_bytes
    if not on_gpu:
        return Stage(name, program_bytes(footprint, on_gpu) + network)
    shard = min(SHARD_BYTES, 4 * footprint.parameters)
    return Stage(name, program_bytes(footprint, on_gpu) + shard, network)
