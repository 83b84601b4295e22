"""The machine as the checks see it; a test puts another one in its place."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from vtune.machine.disk_speed import Space, measured_space
from vtune.machine.tries import TooBusy, Tried, try_in_another_process
from vtune.runtime.web_answer import WebAnswer, ask_web

COMMAND_SECONDS = 20.0

USUAL_STEPS = (
    "torch", "import peft", "fp32 on cpu", "bf16 on cpu", "attention on cpu", "encode mp3", "encode opus",
    "encode flac", "import whisper", "weights of whisper", "recognise", "compare speakers",
)  # fmt: skip
"""Steps that every machine is asked for."""


class Machine(Protocol):
    """What a check may ask."""

    environ: Mapping[str, str]
    system: str
    python: tuple[int, int, int]
    python_bits: int

    def version(self, distribution: str) -> str | None:
        """Return the version of an installed distribution, None if it is not installed."""
        ...

    def requirements(self) -> Sequence[str]:
        """Return what vtune requires of other distributions, with its extras."""
        ...

    def output(self, *command: str) -> str | None:
        """Return what a command prints, None if it is not there or fails."""
        ...

    def tried(self, *names: str) -> Mapping[str, Tried]:
        """Really do some tiny steps; see ``vtune.machine.tries``. :raises TooBusy: the time was up."""
        ...

    def space(self, folder: Path) -> Space:
        """Measure the room in a folder."""
        ...

    def memory(self) -> tuple[float, float]:
        """Return the memory that this process may use, and what of it is free, in bytes."""
        ...

    def get(self, url: str, token: str = "") -> WebAnswer:
        """Ask a web server."""
        ...

    def hub_token(self) -> str:
        """Return the token of the Hub that is logged in, an empty text without one."""
        ...


class ThisMachine:
    """The machine that runs this process.

    :param at_once: try what most checks ask with the first question: each further process imports torch again.
    """

    def __init__(self, *, at_once: bool = True) -> None:
        self.environ: Mapping[str, str] = os.environ
        self.system = platform.system()
        self.python = (sys.version_info.major, sys.version_info.minor, sys.version_info.micro)
        self.python_bits = 64 if sys.maxsize > 2**32 else 32
        self._tried: dict[str, Tried] = {}
        self._next = list(USUAL_STEPS) if at_once else []

    def version(self, distribution: str) -> str | None:
        """Return the version of an installed distribution."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version(distribution)
        except PackageNotFoundError:
            return None

    def requirements(self) -> Sequence[str]:
        """Return the requirements in the metadata of vtune."""
        from importlib.metadata import PackageNotFoundError, requires

        try:
            return requires("vtune-tts") or []
        except PackageNotFoundError:
            return []

    def output(self, *command: str) -> str | None:
        """Run a command."""
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None

    def tried(self, *names: str) -> Mapping[str, Tried]:
        """Do the steps in another process, which may die of one; each is done once."""
        if any(name not in self._tried for name in names):
            steps = dict.fromkeys([*names, *self._next])
            self._next = []
            self._tried |= try_in_another_process([name for name in steps if name not in self._tried])
        for name in names:
            if self._tried[name].too_slow:
                raise TooBusy(name)
        return {name: self._tried[name] for name in names}

    def space(self, folder: Path) -> Space:
        """Write, read back and remove a small file."""
        return measured_space(folder)

    def memory(self) -> tuple[float, float]:
        """Return the memory of the machine or of its control group."""
        import psutil

        from vtune.runtime.memory import host_limit

        limit = host_limit().size
        return limit, min(limit, float(psutil.virtual_memory().available))

    def get(self, url: str, token: str = "") -> WebAnswer:
        """Ask a web server."""
        return ask_web(url, token)

    def hub_token(self) -> str:
        """Ask huggingface_hub for its token."""
        from huggingface_hub import get_token

        return get_token() or ""
