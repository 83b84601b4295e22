"""What a check of the machine found, and what a check is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from vtune.machine.this_machine import Machine

Status = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check has seen.

    :param status: ``error`` if a verb of vtune cannot work, ``warning`` if one works badly, ``note`` for what is absent
        and need not be there.
    :param seen: one sentence, with the numbers.
    :param fix: the line that mends it: a command where there is one; empty for what is in order.
    """

    status: Status
    seen: str
    fix: str = ""
    check: str = ""

    def settings(self) -> dict[str, Any]:
        """The finding as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class MachineCheck:
    """A check of the machine.

    :param order: place among the checks; causes come before what follows from them.
    :param question: what the check asks, one sentence.
    :param uses_network: whether ``--offline`` leaves the check out.
    """

    name: str
    order: int
    question: str
    run: Callable[[Machine], Iterable[Finding]]
    uses_network: bool = False


def ok(seen: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding("ok", seen)


def note(seen: str, fix: str = "") -> Finding:
    """Return a finding about something that need not be there."""
    return Finding("note", seen, fix)


def warning(seen: str, fix: str) -> Finding:
    """Return a finding about something that works badly."""
    return Finding("warning", seen, fix)


def error(seen: str, fix: str) -> Finding:
    """Return a finding about something that keeps a verb from working."""
    return Finding("error", seen, fix)
