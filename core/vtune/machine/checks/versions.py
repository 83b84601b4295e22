"""Versions that do not go together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from vtune.machine.command_lines import install
from vtune.machine.finding import Finding, MachineCheck, error, ok
from vtune.machine.this_machine import Machine

Judge = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class BadPair:
    """Two distributions that break something together.

    :param is_bad: tells it from the versions of both; a pair whose ``module`` can be imported is good all the same.
    :param module: the module of the first that is imported for a try; an empty text: the versions alone decide.
    """

    first: str
    second: str
    is_bad: Judge
    module: str
    consequence: str
    fix: str


def _release(version: str) -> tuple[int, ...]:
    try:
        return Version(version).release
    except InvalidVersion:
        return ()


def _any(_: str, __: str) -> bool:
    """Leave it to the try."""
    return True


BAD_PAIRS = (
    BadPair(
        "torchaudio", "torch", _any, "torchaudio",
        "torchaudio's C++ code does not load beside this torch, and where it is installed, `import peft` and `import "
        "transformers` load it; vtune does not use it",
        "pip uninstall -y torchaudio",
    ),
    BadPair(
        "torchvision", "torch", _any, "torchvision",
        "torchvision's C++ code does not load beside this torch, and where it is installed, `import transformers` "
        "loads it; vtune does not use it",
        "pip uninstall -y torchvision",
    ),
    BadPair(
        "numba", "numpy", lambda numba, numpy: _release(numba) < (0, 60) and _release(numpy) >= (2,), "",
        "this numba was built for NumPy 1: Whisper and librosa cannot be imported",
        "pip install --upgrade numba",
    ),
)  # fmt: skip
"""Pairs that were seen to break; each is one entry, and a test makes each of them."""


def run(machine: Machine) -> Iterator[Finding]:
    """Compare the installed versions with vtune's requirements, and look for pairs that are known to break."""
    faults = 0
    for finding in chain(_requirements(machine), _pairs(machine)):
        faults += 1
        yield finding
    peft = machine.tried("import peft")["import peft"]
    if not faults:
        yield (
            ok("All versions go together.")
            if peft.works
            else error(f"peft cannot be imported: {peft.problem}.", "pip install --upgrade peft transformers")
        )


def _requirements(machine: Machine) -> Iterator[Finding]:
    for text in machine.requirements():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = machine.version(requirement.name)
        line = install(f"{requirement.name}{requirement.specifier}")
        if version is None:
            yield error(f"{requirement.name} is not installed, and vtune needs it.", line)
        elif not requirement.specifier.contains(version, prereleases=True):
            yield error(f"{requirement.name} {version} is installed, and vtune needs {requirement.specifier}.", line)


def _pairs(machine: Machine) -> Iterator[Finding]:
    for pair in BAD_PAIRS:
        first, second = machine.version(pair.first), machine.version(pair.second)
        if first is None or second is None or not pair.is_bad(first, second):
            continue
        name = f"import {pair.module}"
        tried = machine.tried(name)[name] if pair.module else None
        if tried is None or not tried.works:
            problem = f" ({tried.problem})" if tried else ""
            yield error(f"{pair.first} {first} beside {pair.second} {second}: {pair.consequence}{problem}.", pair.fix)


CHECK = MachineCheck("versions", 30, "Do the installed versions go together?", run)
