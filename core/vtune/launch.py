"""Start a run in several processes: the one ``accelerate launch`` line that works with and without GPUs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from vtune.errors import TrainingError


def launch(command: Sequence[str], processes: int) -> None:
    """Replace this process by ``accelerate launch`` of ``vtune`` with ``command``; does not return.

    :raises TrainingError: this process belongs to a launch already.
    """
    if "WORLD_SIZE" in os.environ:
        raise TrainingError("this process was started by a launcher already; leave --launch out")
    sys.stdout.flush()
    # Started with -m, Python would import modules from the current folder, which may be anybody's.
    there = {**os.environ, "PYTHONSAFEPATH": "1"}
    os.execvpe(sys.executable, [*launcher(processes), "-m", "vtune_cli", *command], there)


def launcher(processes: int) -> list[str]:
    """What is written before a script and its arguments to run it in several processes.

    ``--multi_gpu`` starts ranks without a GPU as well (gloo), where ``--cpu`` would silently start one process.
    """
    return [
        sys.executable, "-m", "accelerate.commands.launch",
        "--multi_gpu", "--num_processes", str(processes), "--num_machines", "1",
        "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
    ]  # fmt: skip
