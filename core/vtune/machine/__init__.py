"""Check the machine that vtune runs on: what works, what does not, and the line that mends it."""

from vtune.machine.bundle import write_bundle
from vtune.machine.check_machine import check_machine, check_names
from vtune.machine.finding import Finding, Status
from vtune.machine.this_machine import Machine, ThisMachine

__all__ = ["Finding", "Machine", "Status", "ThisMachine", "check_machine", "check_names", "write_bundle"]
