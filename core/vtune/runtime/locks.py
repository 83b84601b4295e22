"""Lock files with locks that never outlive a process: the kernel drops a lock when its holder ends, however it ends.

A process number would prove nothing: numbers are used again, and mean nothing on another host or in another container.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

_NO_LOCKS_ERRNOS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
_POLL_SECONDS = 0.02
# Windows has no such flags: descriptors are not inherited there, and links are rare.
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NOINHERIT", 0)

_held_descriptors: set[int] = set()


class Lock:
    """A lock that this process holds.

    ``proven`` is False on a file system without locks: there, another process may hold the same lock.
    """

    def __init__(self, path: Path, descriptor: int, *, proven: bool) -> None:
        self.path = path
        self.descriptor = descriptor
        self.proven = proven
        self._process = os.getpid()
        _held_descriptors.add(descriptor)

    def release(self, *, remove: bool = True) -> None:
        """Release the lock.

        :param remove: remove the lock file first, which no other process does while the lock is held.
        """
        if os.getpid() != self._process:  # a forked child leaves the block: the lock belongs to its parent
            return
        try:
            if remove and _is_same_file(self.descriptor, self.path):
                self.path.unlink(missing_ok=True)
        except OSError:
            # The disk has become read-only, or this is Windows, which removes no open file. The file that stays is
            # empty and locks nothing by itself.
            pass
        finally:
            _held_descriptors.discard(self.descriptor)
            os.close(self.descriptor)


def acquire(path: Path, wait_seconds: float = 0.0) -> Lock | None:
    """Lock a file, and create it if it does not exist; None if another process holds it longer than ``wait_seconds``.

    :raises OSError: the file cannot be created.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        descriptor = _open(path)
        try:
            proven = _try_lock(descriptor)
            if proven is not None and _is_same_file(descriptor, path):
                return Lock(path, descriptor, proven=proven)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if proven is not None:
            continue  # the last holder has removed the file meanwhile: lock the file that is there now
        if time.monotonic() >= deadline:
            return None
        time.sleep(_POLL_SECONDS)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o666)
    except PermissionError:
        # The lock file of a killed process of another account cannot be written, but it can be locked.
        return os.open(path, os.O_RDONLY | _FLAGS)


def _try_lock(descriptor: int) -> bool | None:
    """Try to lock an open file: True if it worked, None if another process has the lock, False without locks."""
    try:
        _lock(descriptor)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return None
        if error.errno in _NO_LOCKS_ERRNOS:
            return False
        raise
    return True


def _lock(descriptor: int) -> None:
    """Lock an open file, or fail at once; the system drops the lock when the process ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined] # known on Windows alone
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _close_in_child() -> None:
    """Close the descriptors in a forked child, because they would keep the locks of a parent that was killed."""
    for descriptor in _held_descriptors:
        os.close(descriptor)
    _held_descriptors.clear()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_close_in_child)
