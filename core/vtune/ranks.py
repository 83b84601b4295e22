"""Several processes of one run: who they are, that they are as many as asked for, and waiting for each other."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from vtune.errors import TrainingError

if TYPE_CHECKING:
    from accelerate import PartialState

# One rank may encode hours of speech while another has none left; torch's own limit is 30 minutes.
WAIT = timedelta(hours=24)


def join(device: str, world_size: int | None) -> PartialState:
    """Join the process group, if this process belongs to one, and check its size.

    Two ways to launch silently start one process, and two start independent copies that write over each other;
    none of them passes here.

    :param device: ``auto``, ``cpu`` or ``cuda``.
    :param world_size: what the recipe asks for.
    :raises TrainingError: fewer or more processes run than were asked for.
    """
    import torch
    from accelerate import PartialState

    use_cpu = device == "cpu" or not torch.cuda.is_available()
    if device == "cuda" and use_cpu:
        raise TrainingError("train.device is 'cuda', but torch sees no GPU; use device=cpu or mend the driver")
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    backend = {"backend": "gloo"} if use_cpu and launched > 1 else {}
    state = PartialState(cpu=use_cpu, timeout=WAIT, **backend)
    asked = world_size or launched
    if state.num_processes != asked:
        raise TrainingError(
            f"{asked} processes were asked for, but {state.num_processes} joined; "
            "launch with 'vtune run RECIPE --launch N' or 'accelerate launch --multi_gpu --num_processes N'"
        )
    if launched == 1 and "MASTER_PORT" in os.environ and "ACCELERATE_MIXED_PRECISION" in os.environ:
        raise TrainingError(
            "'accelerate launch' was asked for several processes and started one (it does so with --cpu); "
            "use 'vtune run RECIPE --launch N' or 'accelerate launch --multi_gpu --num_processes N'"
        )
    return state


def is_first() -> bool:
    """Whether this process speaks for all of them."""
    return int(os.environ.get("RANK", "0")) == 0
