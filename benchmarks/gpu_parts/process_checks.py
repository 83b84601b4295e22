"""What several processes or several GPUs need: NCCL, launches, and one process beside several GPUs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from gpu_parts.parts import NotRunError, Settings
from gpu_parts.products import require_cuda
from gpu_parts.voice_checks import new_recipe


def nccl(settings: Settings) -> dict[str, Any]:
    """Join a group of one process, and use every way in which vtune talks to others."""
    require_cuda(settings)
    from accelerate.utils import broadcast_object_list
    from torch import distributed

    from vtune.runtime.distributed.ranks import init_distributed, max_over_ranks

    os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    torch.cuda.set_device(0)
    distributed.init_process_group("nccl", rank=0, world_size=1, store=distributed.HashStore())
    init_distributed("cuda", None)
    assert max_over_ranks(3) == 3
    assert broadcast_object_list(["decided"]) == ["decided"]
    buffer = torch.ones(3, device="cuda", dtype=torch.int64)
    distributed.broadcast(buffer, 0)
    distributed.all_reduce(buffer)
    assert buffer.tolist() == [1, 1, 1]
    distributed.destroy_process_group()
    return {}


def two_processes(settings: Settings, sharding: str = "none") -> dict[str, Any]:
    """Train a small voice with two processes, which need a GPU each."""
    if settings.device == "cpu" or torch.cuda.device_count() < 2:
        raise NotRunError("needs two GPUs")  # without any, tests/test_processes.py does the same
    with tempfile.TemporaryDirectory() as folder:
        recipe = new_recipe(Path(folder), settings, "orpheus", train={"sharding": sharding, "batch_size": 1})
        command = [sys.executable, "-m", "vtune_cli", "run", str(recipe), "--launch", "2"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, (done.stderr or done.stdout)[-300:]
    return {}


def one_gpu_of_several(settings: Settings) -> dict[str, Any]:
    """Check that one process takes one GPU: transformers would lay the network over all of them by itself."""
    require_cuda(settings)
    if torch.cuda.device_count() < 2:
        raise NotRunError("needs two GPUs")
    from gpu_parts.voice_checks import whole_voice

    return whole_voice(settings, "orpheus")
