"""Attention: the kernels of torch, tried on a tiny step."""

from __future__ import annotations

from collections.abc import Iterator

from vtune.machine.checks.precision import devices
from vtune.machine.finding import Finding, MachineCheck, error, note, ok
from vtune.machine.this_machine import Machine

FLASH = "flash attention on cuda"


def run(machine: Machine) -> Iterator[Finding]:
    """Compute attention and its gradient on each device; on an NVIDIA GPU also by the flash kernel alone."""
    for device in devices(machine):
        name = f"attention on {device}"
        tried = machine.tried(name)[name]
        if tried.works:
            yield ok(f"Attention works on {device}.")
        else:
            yield error(
                f"Attention on {device} fails: {tried.problem}.",
                "vtune run RECIPE --device cpu  # or install another torch",
            )
        if device == "cuda":
            flash = machine.tried(FLASH)[FLASH]
            if flash.works:
                yield ok("Flash attention works.")
            else:
                yield note(
                    f"Flash attention does not work on this GPU ({flash.problem}); other kernels are used, which need "
                    "more memory for long clips.",
                    "It needs a GPU of compute capability 8.0 or newer.",
                )


CHECK = MachineCheck("attention", 50, "Which kernels of attention work?", run)
