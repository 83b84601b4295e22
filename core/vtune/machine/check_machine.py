"""Run the checks of the machine, each by itself: a check that fails is a finding, and the others go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from vtune.errors import VtuneError, choices, reason
from vtune.machine.finding import Finding, MachineCheck
from vtune.machine.this_machine import Machine, ThisMachine
from vtune.machine.tries import TRY_SECONDS, TooBusy
from vtune.runtime.registry import read_registry


def _checks() -> list[MachineCheck]:
    checks = read_registry("vtune.machine.checks", "CHECK", MachineCheck)
    return sorted(checks.values(), key=lambda check: check.order)


def check_names() -> dict[str, str]:
    """Return the name of each check, and what it asks."""
    return {check.name: check.question for check in _checks()}


def check_machine(
    machine: Machine | None = None, *, only: Sequence[str] = (), offline: bool = False
) -> Iterator[Finding]:
    """Yield what each check finds, as soon as it is known.

    :param machine: default: this one.
    :param only: names of the checks to run; default: all.
    :param offline: leave out the checks that use the network.
    :raises VtuneError: there is no check of that name.
    """
    machine = machine or ThisMachine()
    checks = _checks()
    names = [check.name for check in checks]
    for name in only:
        if name not in names:
            raise VtuneError(f"there is no check {name!r}{choices(name, names, 'checks')}")
    for check in checks:
        if (only and check.name not in only) or (offline and check.uses_network):
            continue
        try:
            for finding in check.run(machine):
                yield replace(finding, check=check.name)
        except TooBusy as step:
            yield Finding(
                "warning",
                f"This machine is too busy: {str(step)!r} had not ended after {TRY_SECONDS:g} s.",
                "End other programs, and run vtune check again.",
                check.name,
            )
        except Exception as problem:  # a broken library must not hide what the other checks find
            yield Finding(
                "warning",
                f"The check itself failed: {reason(problem)[:200]}.",
                "Report this with the file of: vtune check --bundle report.zip",
                check.name,
            )
