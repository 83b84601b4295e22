"""Tiny steps that show whether something really works; each runs in a process that may die of it.

A GPU that is too old, a kernel that was built for another one, or a library without its GPU code raises an error in the
best case, and ends the process in the worst. So the steps run in a process of their own, which writes a line before and
after each step: the step without a second line has ended the process, and the steps behind it run in another one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

TRY_SECONDS = 300.0
"""A first step on a GPU loads its libraries; importing torch alone took 200 s on a machine with much other work."""

TOO_SLOW = "it had not ended after"


class TooBusy(Exception):
    """A step had not ended when its time was up, which on a machine with other work says nothing about the step."""


@dataclass(frozen=True, slots=True)
class Tried:
    """How a step went.

    :param seconds: of the second of two equal steps, without what is loaded once.
    :param facts: what the step tells beside, by name.
    """

    works: bool
    seconds: float = 0.0
    problem: str = ""
    facts: Mapping[str, Any] | None = None

    @property
    def too_slow(self) -> bool:
        """Whether the time was up, which on a busy machine says nothing."""
        return self.problem.startswith(TOO_SLOW)

    def fact(self, name: str, default: Any = None) -> Any:
        """Return one of the facts."""
        return (self.facts or {}).get(name, default)


def try_in_another_process(names: Sequence[str]) -> dict[str, Tried]:
    """Do some of the steps, and return how each went."""
    results: dict[str, Tried] = {}
    while missing := [name for name in names if name not in results]:
        printed, ending = _run(missing)
        begun = ""
        for line in printed.splitlines():
            if not line.startswith("{"):
                continue  # what a library prints
            row = json.loads(line)
            begun = row.pop("begin", begun)
            if "name" in row:
                name = row.pop("name")
                results[name] = Tried(**row)
                begun = ""
        unfinished = [name for name in missing if name not in results]
        if unfinished:
            stopped = Tried(False, problem=ending)
            # After a time limit, what has not begun would be as slow.
            results |= dict.fromkeys(unfinished if stopped.too_slow else [begun or unfinished[0]], stopped)
    return results


def _run(names: Sequence[str]) -> tuple[str, str]:
    """Run a process for some steps; return what it printed, and how it ended."""
    command = [sys.executable, "-m", "vtune.machine.tries", *names]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TRY_SECONDS, check=False)
    except subprocess.TimeoutExpired as stopped:
        printed = stopped.stdout or b""
        text = printed if isinstance(printed, str) else printed.decode(errors="replace")
        return text, f"{TOO_SLOW} {TRY_SECONDS:g} s"
    last = (done.stderr.strip().splitlines() or [""])[-1]
    return done.stdout, f"the process ended with code {done.returncode}: {last}"[:200]


def main(names: Sequence[str]) -> None:
    """Do the steps in this process, and print a line of JSON before and after each."""
    from vtune.machine.steps import STEPS

    for name in names:
        print(json.dumps({"begin": name}), flush=True)
        print(json.dumps({"name": name, **asdict(_tried(STEPS[name]))}), flush=True)


def _tried(step: Callable[[], Mapping[str, Any] | None]) -> Tried:
    try:
        facts = step()
        started = time.perf_counter()
        step()
        return Tried(True, time.perf_counter() - started, facts=facts)
    except Exception as problem:  # whatever a library raises is the answer
        return Tried(False, problem=f"{type(problem).__name__}: {' '.join(str(problem).split())}"[:200])


if __name__ == "__main__":
    main(sys.argv[1:])
