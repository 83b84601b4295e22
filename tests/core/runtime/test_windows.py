"""What Windows lacks is not needed: modules, flags, forks. Nothing here was tried on Windows itself."""

from __future__ import annotations

import errno
import subprocess
import sys
import types
from pathlib import Path

import pytest

from vtune.runtime import locks
from vtune.runtime.disk import _largest_file

POSIX_ALONE = ("fcntl", "resource", "pwd", "grp", "termios", "pty", "posix_ipc", "syslog")

# Other libraries know Windows; on this system they may use what it has. Only vtune's own imports are refused.
IMPORT_ALL = """
import builtins, importlib, pkgutil

original = builtins.__import__

def without_unix(name, globals=None, *rest, **named):
    if name in {hidden!r} and str((globals or {{}}).get("__name__", "")).startswith("vtune"):
        raise ImportError(f"{{globals['__name__']}} imports {{name}}, which Windows does not have", name=name)
    return original(name, globals, *rest, **named)

builtins.__import__ = without_unix
import vtune, vtune_cli
for package in (vtune, vtune_cli):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__") and ".scaffold." not in module.name:
            importlib.import_module(module.name)
"""


def test_every_module_can_be_imported_without_what_only_unix_has() -> None:
    code = IMPORT_ALL.format(hidden=POSIX_ALONE)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_locks_need_no_forks() -> None:
    code = "import os, random, tempfile\ndel os.register_at_fork\nimport vtune.runtime.locks"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, int]]:
    """Let files be locked as on Windows; the set has device and number of each locked file."""
    import os

    locked: set[tuple[int, int]] = set()
    holders: dict[int, tuple[int, int]] = {}

    def locking(descriptor: int, mode: int, count: int) -> None:
        status = os.fstat(descriptor)
        key = (status.st_dev, status.st_ino)
        if key in locked:
            raise OSError(errno.EACCES, "Permission denied")
        locked.add(key)
        holders[descriptor] = key

    module = types.ModuleType("msvcrt")
    module.locking, module.LK_NBLCK = locking, 2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", module)
    return locked


def test_a_file_is_locked_as_windows_locks_it(windows: set[tuple[int, int]], tmp_path: Path) -> None:
    lock = locks.acquire(tmp_path / "run.lock")
    assert lock is not None
    assert lock.proven
    assert len(windows) == 1
    assert locks.acquire(tmp_path / "run.lock") is None
    lock.release()
    assert not (tmp_path / "run.lock").exists()


def test_without_limits_of_files_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert _largest_file() is None
