"""Memory of the machine and of its GPU."""

from __future__ import annotations

from collections.abc import Iterator

from vtune.machine.finding import Finding, MachineCheck, error, ok, warning
from vtune.machine.this_machine import Machine

GIB = 2**30
LEAST, ENOUGH = 2 * GIB, 8 * GIB
"""The quickstart says that it needs 2 GB; a GPU run keeps 8 GB free for reading, encoding and scoring."""


def run(machine: Machine) -> Iterator[Finding]:
    """Look at how much memory there is, and how much of it is free."""
    total, free = machine.memory()
    text = f"{free / GIB:.1f} of {total / GIB:.1f} GiB of memory are free"
    plan = "vtune plan RECIPE  # says what a run needs"
    if total < LEAST:
        yield error(f"{text}: the quickstart needs 2.", "Use a machine, or a container, with 8 GiB or more.")
    elif free < LEAST:
        yield warning(f"{text}.", f"{plan}; close other programs until that is free")
    elif total < ENOUGH:
        yield warning(f"{text}: enough for the quickstart, little for a run.", plan)
    else:
        yield ok(f"{text}.")
    torch = machine.tried("torch")["torch"]
    gpu_total, gpu_free = torch.fact("gpu_total", 0), torch.fact("gpu_free", 0)
    if not gpu_total:
        return
    text = f"{gpu_free / GIB:.1f} of {gpu_total / GIB:.1f} GiB of the GPU's memory are free"
    if gpu_free < gpu_total / 2:
        yield warning(
            f"{text}: another program uses the GPU.", "nvidia-smi  # lists the programs; end the one you do not need"
        )
    else:
        yield ok(f"{text}.")


CHECK = MachineCheck("memory", 90, "Is there enough memory?", run)
