"""Mute what C libraries write to standard error while they decode; messages of Python are not affected.

libsndfile's MP3 decoder (libmpg123) reports damage by ``fprintf(stderr, ...)``: a screen of lines that name no file. A
redirection of file descriptor 2 would also swallow messages of other threads and the traceback of a crash. In the GNU C
library, ``stderr`` is a variable that a program may set (manual, section "Standard Streams"); only C code that prints
through it is muted, and only while a block is decoded. On other systems nothing is muted.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

_LOCK = threading.Lock()
_ACTIVE: list[int | None] = []
"""One entry for each thread that decodes now: the former value of ``stderr``, in the first entry."""


@contextmanager
def muted_c_stderr() -> Iterator[None]:
    """Mute C code that prints to ``stderr``; several threads may do so at once."""
    variables = _variables()
    if variables is None:
        yield
        return
    stderr, null = variables
    with _LOCK:
        _ACTIVE.append(_ACTIVE[0] if _ACTIVE else stderr.value)
        stderr.value = null
    try:
        yield
    finally:
        with _LOCK:
            former = _ACTIVE.pop()
            if not _ACTIVE:
                stderr.value = former


@cache
def _variables() -> tuple[ctypes.c_void_p, int] | None:
    """Return the variable ``stderr`` and a stream that discards everything; None if the C library is not glibc."""
    with suppress(AttributeError, OSError, ValueError):
        if (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"):
            program = ctypes.CDLL(None)
            program.fopen.restype = ctypes.c_void_p
            null = program.fopen(os.fsencode(os.devnull), b"w")
            return (ctypes.c_void_p.in_dll(program, "stderr"), null) if null else None
    return None
