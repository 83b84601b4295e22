"""bitsandbytes: weights of 4 bits and optimizers of 8 bits."""

from __future__ import annotations

from collections.abc import Iterator

from vtune.machine.checks.precision import devices
from vtune.machine.command_lines import install
from vtune.machine.finding import Finding, MachineCheck, note, ok, warning
from vtune.machine.this_machine import Machine

INSTALL = install("vtune-tts[qlora]")


def run(machine: Machine) -> Iterator[Finding]:
    """Compute with weights of 4 bits, where bitsandbytes is installed."""
    version = machine.version("bitsandbytes")
    if version is None:
        yield note(
            "bitsandbytes is not installed: `quantization: 4bit` and optimizers of 8 bits cannot be used.", INSTALL
        )
        return
    device = "cuda" if "cuda" in devices(machine) else "cpu"
    name = f"bitsandbytes on {device}"
    tried = machine.tried(name)[name]
    if tried.works:
        yield ok(f"bitsandbytes {version} computes with 4 bits on {device}.")
    else:
        yield warning(
            f"bitsandbytes {version} does not work on {device}: {tried.problem}.",
            "pip install --upgrade bitsandbytes  # or vtune run RECIPE engine_options.quantization=none",
        )


CHECK = MachineCheck("quantisation", 60, "Do weights of 4 bits work?", run)
