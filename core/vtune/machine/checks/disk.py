"""Disks: room and speed where vtune writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vtune.machine.command_lines import set_variable
from vtune.machine.disk_speed import Space
from vtune.machine.finding import Finding, MachineCheck, error, ok, warning
from vtune.machine.this_machine import Machine

GB = 10**9
LEAST_FREE = 1 * GB
ENOUGH_FREE = 20 * GB
"""Orpheus in 16 bits is 6.6 GB, its codec and a run with checkpoints some more."""
SLOW = 30 * 10**6
"""Bytes a second; a checkpoint of 200 MB then takes 7 s."""


def folders(machine: Machine) -> dict[str, Path]:
    """Return where vtune writes much: the current folder, and the cache of the Hub."""
    environ = machine.environ
    home = Path(environ.get("HF_HOME") or Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface")
    return {"the current folder": Path.cwd(), "the cache of the Hub": home}


def run(machine: Machine) -> Iterator[Finding]:
    """Measure the room and the speed of each folder."""
    move = {
        "the current folder": "cd FOLDER",
        "the cache of the Hub": set_variable(machine.system, "HF_HOME", "FOLDER"),
    }
    for name, path in folders(machine).items():
        yield _of_a_folder(name, machine.space(path), move[name])


def _of_a_folder(name: str, space: Space, move: str) -> Finding:
    free = f"{space.free / GB:,.1f} GB"
    larger = f"{move}  # with a FOLDER on a larger disk; or free some space"
    if space.problem:
        return error(
            f"Nothing can be written in {name}: {space.problem}.", f"{move}  # with a FOLDER that you may write to"
        )
    if space.free < LEAST_FREE:
        return error(f"There are {free} free in {name}: no base model and no run fits.", larger)
    if space.free < ENOUGH_FREE:
        seen = f"There are {free} free in {name}: enough for small engines, not for a base of billions of weights."
        return warning(seen, larger)
    speed = f"{(space.write_speed or 0) / 1e6:,.0f} MB a second"
    if space.write_speed is not None and space.write_speed < SLOW:
        where = f"{name[0].upper()}{name[1:]}"
        return warning(
            f"{where} writes {speed}: encoding and checkpoints wait for it.", f"{move}  # with a FOLDER on a local disk"
        )
    return ok(f"{free} free in {name}, which writes {speed}.")


CHECK = MachineCheck("disk", 80, "Is there room, and is the disk fast enough?", run)
