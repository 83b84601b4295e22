"""Turn every failure to write a disk, whichever library reports it, into one line with advice."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vtune.errors import VtuneError, printable

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EFBIG: "a file would exceed the largest size allowed (by ulimit -f or by the file system); raise the limit",
    errno.EROFS: "the disk is read-only; make it writable or name another folder,",
    errno.EIO: "the disk reports an error; read the system log, then repair the disk or name another folder,",
    errno.EACCES: "this account may not write here; change the permissions or name another folder,",
    errno.EPERM: "this account may not write here; change the permissions or name another folder,",
}
_ERRNO_BY_TEXT = {
    os.strerror(errno.ENOSPC): errno.ENOSPC,
    "disk is full": errno.ENOSPC,  # SQLite
    os.strerror(errno.EDQUOT): errno.EDQUOT,
    os.strerror(errno.EFBIG): errno.EFBIG,
    os.strerror(errno.EROFS): errno.EROFS,
    "disk I/O error": errno.EIO,  # SQLite
    os.strerror(errno.EIO): errno.EIO,
    "attempt to write a readonly database": errno.EROFS,  # SQLite
}
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")
_PROBE_BYTES = 1 << 20


class DiskError(VtuneError):
    """A path that cannot be written: the disk is full, read-only or broken, or a quota is used up.

    ``path_text`` is the path that could not be written, ``number`` the operating system's error number.
    """

    path_text = ""
    number = 0


def disk_error(path: Path | str | bytes, number: int) -> DiskError:
    """Return an error of one line: why a path cannot be written, and what to do.

    :param number: the operating system's error number, as ``errno_of`` returned it.
    """
    path_text = os.fsdecode(path)
    error = DiskError(
        f"{printable(path_text)}: {_ADVICE[number]} and run the same command again ({os.strerror(number)})"
    )
    error.path_text, error.number = path_text, number  # not arguments: from those, pickle builds a worker's error again
    return error


def errno_of(error: BaseException) -> int | None:
    """Return the disk's error number that an exception or one of its causes holds, None if there is none."""
    seen: set[int] = set()
    link: BaseException | None = error
    caused = True
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, OSError) and link.errno is not None:
            # An error that was being handled when another one occurred need not be the cause: a probe for a file, say.
            if link.errno in _ADVICE and (caused or link.errno not in (errno.EACCES, errno.EPERM)):
                return link.errno
        elif not isinstance(link, VtuneError):
            number = _errno_in(str(link))
            if number is not None:
                return number
        caused = link.__cause__ is not None
        link = link.__cause__ or link.__context__
    return None


def _errno_in(text: str) -> int | None:
    match = _RUST_ERROR.search(text)
    if match and int(match[1]) in _ADVICE:
        return int(match[1])
    return next((number for sign, number in _ERRNO_BY_TEXT.items() if sign in text), None)


def named_path(error: BaseException) -> str | None:
    """Return the file that an error of the operating system names, None if it names none."""
    name = error.filename2 or error.filename if isinstance(error, OSError) else None
    return None if name is None or isinstance(name, int) else os.fsdecode(name)


def disk_error_text(error: BaseException) -> str | None:
    """Return one line about a disk that could not be written, None if the exception has another reason."""
    number = errno_of(error)
    return None if number is None else str(disk_error(named_path(error) or "a file that was being written", number))


@contextmanager
def writing(path: Path, inside: Path | None = None) -> Iterator[None]:
    """Turn every failure of the disk in this block into one line that names ``path``.

    Errors that name a file in another folder pass unchanged: they are not about this path.

    :param inside: temporary path where the files are written, if it is not ``path``.
    :raises DiskError: the disk is full, read-only or broken, or the account may not write there.
    """
    written = inside or path
    try:
        yield
    except DiskError as error:
        if inside is None or not _is_in(error.path_text, inside):
            raise
        raise disk_error(path, error.number) from error  # users know the path, not the temporary name
    except VtuneError:
        raise
    except Exception as error:
        named = named_path(error)
        if named is not None and not _is_below(named, written) and not _is_below(named, path):
            raise
        number = errno_of(error)
        if number is None and not isinstance(error, OSError):
            number = _probe_errno(written)
        if number is None:
            raise
        raise disk_error(path, number) from error


def _is_below(name: str, path: Path) -> bool:
    # A temporary file lies in the same folder as the file that it replaces.
    return _is_in(name, path) or os.path.dirname(os.path.abspath(name)) == os.path.dirname(os.path.abspath(path))


def _is_in(name: str, path: Path) -> bool:
    full_path, folder = os.path.abspath(name), os.path.abspath(path)
    return full_path == folder or full_path.startswith(folder + os.sep)


def _probe_errno(path: Path) -> int | None:
    """Return the error number of a small test write beside a path: some libraries say that they failed, but not why."""
    folder = path if path.is_dir() else path.parent
    limit = _largest_file()
    files = (file for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())
    try:
        if limit is not None and any(file.stat().st_size >= limit for file in files):
            return errno.EFBIG
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * _PROBE_BYTES)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return error.errno if error.errno in _ADVICE else None
    return None


def _largest_file() -> int | None:
    """Return the largest size of a file that the system allows this process, None without a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit
