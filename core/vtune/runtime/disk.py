"""What the operating system says of a disk that cannot be written, whichever library passes it on."""

from __future__ import annotations

import errno
import os
import re
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vtune.errors import VtuneError, printable

_ADVICE = {
    errno.ENOSPC: "there is no room left on its disk; make room",
    errno.EDQUOT: "the quota on its disk is used up; make room",
    errno.EFBIG: "a file would grow beyond what is allowed (ulimit -f, or the file system's limit); raise the limit",
    errno.EROFS: "its disk can only be read; make it writable, or name another folder",
    errno.EIO: "its disk reports an error; look into the system's log, and mend the disk or name another folder",
    errno.EACCES: "this account is not allowed to; change the permissions or name another folder,",
    errno.EPERM: "this account is not allowed to; change the permissions or name another folder,",
}
_TEXTS = {
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
    """A folder that cannot be written: a full disk, a quota, a disk that can only be read or is broken.

    ``place`` is what could not be written, ``number`` the operating system's reason.
    """

    place = ""
    number = 0


def disk_error(path: Path | str | bytes, number: int) -> DiskError:
    """Say in one line what is wrong with a place, and how to go on.

    :param number: the operating system's, one that ``errno_of`` returned.
    """
    place = os.fsdecode(path)
    error = DiskError(f"{printable(place)}: {_ADVICE[number]} and give the same command again ({os.strerror(number)})")
    error.place, error.number = place, number  # not arguments: an error of a worker process is made anew from those
    return error


def errno_of(error: BaseException) -> int | None:
    """Find in an exception, or in what it was raised from, the reason why a disk could not be written."""
    seen: set[int] = set()
    link: BaseException | None = error
    caused = True
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, OSError) and link.errno is not None:
            # What was being handled when another error came up need not be its reason: a probe for a file, say.
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
    found = _RUST_ERROR.search(text)
    if found and int(found[1]) in _ADVICE:
        return int(found[1])
    return next((number for said, number in _TEXTS.items() if said in text), None)


def named_place(error: BaseException) -> str | None:
    """Return the file that an operating system's error names, None where it names none."""
    name = error.filename2 or error.filename if isinstance(error, OSError) else None
    return None if name is None or isinstance(name, int) else os.fsdecode(name)


def told(error: BaseException) -> str | None:
    """Say in one line that a disk could not be written, None if that is not what an exception is about."""
    number = errno_of(error)
    return None if number is None else str(disk_error(named_place(error) or "a file that was being written", number))


@contextmanager
def writing(path: Path, inside: Path | None = None) -> Iterator[None]:
    """Tell a failure of the disk in one line that names ``path``, whatever is raised for it.

    Errors that name a file elsewhere are left as they are: they are not about this place.

    :param inside: where the files are written meanwhile, if not at ``path``.
    :raises DiskError: the disk is full, can only be read, or is broken.
    """
    aside, inside = inside, inside or path
    try:
        yield
    except DiskError as error:
        if aside is None or not _is_in(error.place, aside):
            raise
        raise disk_error(path, error.number) from error  # who knows what is written aside?
    except VtuneError:
        raise
    except Exception as error:
        named = named_place(error)
        if named is not None and not _is_below(named, inside) and not _is_below(named, path):
            raise
        number = errno_of(error)
        if number is None and not isinstance(error, OSError):
            number = _probed(inside)
        if number is None:
            raise
        raise disk_error(path, number) from error


def _is_below(name: str, path: Path) -> bool:
    # What is written aside lies beside its place.
    return _is_in(name, path) or os.path.dirname(os.path.abspath(name)) == os.path.dirname(os.path.abspath(path))


def _is_in(name: str, path: Path) -> bool:
    whole, folder = os.path.abspath(name), os.path.abspath(path)
    return whole == folder or whole.startswith(folder + os.sep)


def _probed(path: Path) -> int | None:
    """Write a little beside what could not be written: some libraries say that they failed, and not why."""
    folder = path if path.is_dir() else path.parent
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    files = (file for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())
    try:
        if limit != resource.RLIM_INFINITY and any(file.stat().st_size >= limit for file in files):
            return errno.EFBIG
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * _PROBE_BYTES)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return error.errno if error.errno in _ADVICE else None
    return None
