"""Watch what an engine's code does beside its work: network, files, imports, output, state of the process."""

from __future__ import annotations

import builtins
import contextlib
import io
import logging
import os
import random
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock


class NetworkRefused(ConnectionRefusedError):
    """Code tried to reach another machine while the network is refused."""


_attempts: list[str] = []


@contextmanager
def refused_network() -> Iterator[list[str]]:
    """Refuse every connection but those between processes of this machine's files; yield the list of attempts."""

    def refuse(address: object) -> None:
        _attempts.append(_address(address))
        raise NetworkRefused(f"the conformance kit refuses the network: connection to {_attempts[-1]}")

    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refusing_connect(self: socket.socket, address: Any) -> None:
        connect(self, address) if self.family == getattr(socket, "AF_UNIX", None) else refuse(address)

    def refusing_connect_ex(self: socket.socket, address: Any) -> int:
        if self.family != getattr(socket, "AF_UNIX", None):
            refuse(address)
        return connect_ex(self, address)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(socket.socket, "connect", refusing_connect))
        stack.enter_context(mock.patch.object(socket.socket, "connect_ex", refusing_connect_ex))
        stack.enter_context(mock.patch.object(socket, "getaddrinfo", lambda host, port, *_, **__: refuse((host, port))))
        stack.enter_context(mock.patch.object(socket, "gethostbyname", refuse))
        yield _attempts


def _address(address: object) -> str:
    return ":".join(map(str, address[:2])) if isinstance(address, tuple) else str(address)


@dataclass(slots=True)
class Observed:
    """What code did while it was watched.

    :param opened: files that were opened for reading, ``written`` those for writing.
    :param unpickled: classes that pickles named.
    :param imported: modules that were imported by an import statement that ran.
    :param printed: the text that was written to the standard output.
    """

    opened: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    unpickled: list[str] = field(default_factory=list)
    imported: list[str] = field(default_factory=list)
    printed: str = ""
    warned: list[warnings.WarningMessage] = field(default_factory=list)


_watching: list[Observed] = []
_has_hook = False


def _audit(event: str, arguments: Sequence[Any]) -> None:
    if not _watching:
        return
    observed = _watching[-1]
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        flags = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else 0
        files = observed.written if flags & (os.O_WRONLY | os.O_RDWR) else observed.opened
        files.append(os.path.abspath(os.fsdecode(arguments[0])))
    elif event == "pickle.find_class":
        observed.unpickled.append(f"{arguments[0]}.{arguments[1]}")


@contextmanager
def observed_calls() -> Iterator[Observed]:
    """Observe the code of this block."""
    global _has_hook
    if not _has_hook:
        sys.addaudithook(_audit)  # which cannot be taken back, and costs nothing while nothing is watched
        _has_hook = True
    observed = Observed()
    original = builtins.__import__

    def recording_import(name: str, *rest: Any, **named: Any) -> Any:
        observed.imported.append(name)
        return original(name, *rest, **named)

    out = io.StringIO()
    with ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(mock.patch.object(builtins, "__import__", recording_import))
        observed.warned = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        _watching.append(observed)
        stack.callback(_watching.remove, observed)
        yield observed
    observed.printed = out.getvalue()


def random_states() -> dict[str, bytes]:
    """Return the state of each global random generator by the name of its library."""
    import numpy as np
    import torch

    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": repr(np.random.get_state()).encode(),
        "random": repr(random.getstate()).encode(),
    }


def seed_everything(seed: int) -> None:
    """Seed every global random generator."""
    import numpy as np
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


_PROCESS_STATE: dict[str, Callable[[], object]] = {
    "the current folder": os.getcwd,
    "an environment variable": lambda: dict(os.environ),
    "torch's number of threads": lambda: sys.modules["torch"].get_num_threads(),
    "torch's default dtype": lambda: sys.modules["torch"].get_default_dtype(),
    "torch's gradient mode": lambda: sys.modules["torch"].is_grad_enabled(),
    "torch's deterministic mode": lambda: sys.modules["torch"].are_deterministic_algorithms_enabled(),
    "torch's float32 matmul precision": lambda: sys.modules["torch"].get_float32_matmul_precision(),
    "torch's choice of TF32": lambda: sys.modules["torch"].backends.cuda.matmul.allow_tf32,
    "torch's choice of cuDNN's kernels": lambda: sys.modules["torch"].backends.cudnn.benchmark,
    "NumPy's treatment of errors": lambda: sorted(sys.modules["numpy"].geterr().items()),
    "Python's list of folders to import from": lambda: list(sys.path),
    "the level of all logs": lambda: logging.getLogger().level,
    "the handlers of all logs": lambda: [type(handler).__name__ for handler in logging.getLogger().handlers],
    "the limit of recursion": sys.getrecursionlimit,
}


def process_state() -> dict[str, object]:
    """Return the state of the process that all of its code shares, by what it is."""
    return {name: read() for name, read in _PROCESS_STATE.items()}


def state_changes(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """Describe what differs between two states of the process."""
    changes = []
    for name, value in before.items():
        new = after[name]
        if isinstance(value, dict) and isinstance(new, dict):
            changes += [f"{name}, {key!r}" for key in {**value, **new} if value.get(key) != new.get(key)]
        elif isinstance(value, list) and isinstance(new, list) and value != new:
            added = [entry for entry in new if entry not in value] or new
            changes.append(f"{name} ({', '.join(map(str, added))} is new)")
        elif value != new:
            changes.append(f"{name} ({value} before, {new} after)")
    return changes


def restore_process(state: dict[str, object]) -> None:
    """Bring back the parts of the process's state that later rules depend on."""
    import torch

    os.chdir(str(state["the current folder"]))
    environment = state["an environment variable"]
    if isinstance(environment, dict) and dict(os.environ) != environment:
        os.environ.clear()
        os.environ.update(environment)
    torch.set_num_threads(int(str(state["torch's number of threads"])))
    torch.set_default_dtype(state["torch's default dtype"])  # type: ignore[arg-type]
    torch.set_grad_enabled(bool(state["torch's gradient mode"]))
    logging.getLogger().setLevel(int(str(state["the level of all logs"])))


def cache_folders() -> list[Path]:
    """Return the folders that libraries may write into whenever they like."""
    home = Path.home()
    named = [os.environ.get(name) for name in ("HF_HOME", "XDG_CACHE_HOME", "TORCH_HOME", "NUMBA_CACHE_DIR")]
    return [home / ".cache", home / ".config", *(Path(path) for path in named if path)]
