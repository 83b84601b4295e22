"""Wait for files that another rank has written: a shared folder may show them late."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from vtune.errors import DataError, printable

VISIBLE_SECONDS = 90.0
"""Seconds after which a file counts as missing; NFS remembers for up to 60 s (``acdirmax``) that a file is missing."""

POLL_SECONDS = 0.2


def await_files(paths: Iterable[Path | str]) -> None:
    """Wait until files that exist for another rank are visible to this one.

    :raises DataError: a file is still missing after 90 seconds; most likely the machines do not share the folder.
    """
    deadline = time.monotonic() + VISIBLE_SECONDS
    for path in paths:
        while not os.path.exists(path):
            _look_again(path, deadline)


def await_content(path: Path, content: str) -> None:
    """Wait until a file has the content that another rank has written.

    :param content: what ``content_hash`` returned there.
    :raises DataError: the file still has another content, or is missing, after 90 seconds.
    """
    deadline = time.monotonic() + VISIBLE_SECONDS
    while not path.exists() or content_hash(path) != content:
        _look_again(path, deadline)


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _look_again(path: Path | str, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise DataError(
            f"{printable(str(path))} was written or listed by another process of this launch, but after "
            f"{VISIBLE_SECONDS:g} seconds {socket.gethostname()} does not see it; all machines must share this folder "
            "under the same path"
        )
    time.sleep(POLL_SECONDS)
    # Opening a folder makes NFS look at it again; asking for one name may be answered from memory.
    with suppress(OSError):
        os.scandir(os.path.dirname(path) or ".").close()
