"""Extras: what else of vtune could be installed."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement

from vtune.machine.finding import Finding, MachineCheck, note, ok
from vtune.machine.this_machine import Machine


def run(machine: Machine) -> Iterator[Finding]:
    """Compare the installed distributions with those of each extra."""
    complete = []
    for extra, requirements in sorted(_extras(machine).items()):
        missing = [
            requirement.name
            for requirement in requirements
            if not requirement.specifier.contains(machine.version(requirement.name) or "0", prereleases=True)
            or machine.version(requirement.name) is None
        ]
        if missing:
            yield note(
                f"The extra {extra!r} is not complete: {', '.join(missing)}.", f"pip install 'vtune-tts[{extra}]'"
            )
        else:
            complete.append(extra)
    if complete:
        yield ok(f"These extras are installed: {', '.join(complete)}.")


def _extras(machine: Machine) -> dict[str, list[Requirement]]:
    extras: dict[str, list[Requirement]] = {}
    for text in machine.requirements():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        marker = str(requirement.marker or "")
        if "extra ==" in marker:
            name = marker.partition("extra ==")[2].strip().split()[0].strip("\"'")
            extras.setdefault(name, []).append(requirement)
    return extras


CHECK = MachineCheck("extras", 120, "Which extras are installed?", run)
