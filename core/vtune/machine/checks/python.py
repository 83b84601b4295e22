"""Python itself."""

from __future__ import annotations

from collections.abc import Iterator

from vtune.machine.finding import Finding, MachineCheck, error, ok
from vtune.machine.this_machine import Machine

OLDEST = (3, 11)


def run(machine: Machine) -> Iterator[Finding]:
    """Look at the version and the width of Python."""
    version = ".".join(map(str, machine.python))
    if machine.python[:2] < OLDEST:
        yield error(
            f"Python {version} is too old: vtune needs {OLDEST[0]}.{OLDEST[1]} or newer.",
            "uv venv --python 3.12 && uv pip install vtune-tts",
        )
    elif machine.python_bits < 64:
        yield error(
            f"Python {version} has {machine.python_bits} bits: torch is built for 64 bits only.",
            "Install the 64-bit Python of https://www.python.org/downloads/",
        )
    else:
        yield ok(f"Python {version}, 64 bits, on {machine.system}.")


CHECK = MachineCheck("python", 10, "Is Python new enough?", run)
