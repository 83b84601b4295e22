"""Write files and folders so that they are complete or absent, whatever stops the process."""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vtune.errors import VoiceError, VtuneError
from vtune.runtime import signals
from vtune.runtime.disk import writing
from vtune.runtime.locks import Lock, acquire

logger = logging.getLogger(__name__)

KEPT_FOLDER = ".former"
"""Folder of finished voices that a new voice of the same name has replaced; hidden, so no list of voices shows it."""

WAIT_SECONDS = 10.0
"""Seconds to wait for a file that another process is writing."""

SWEEP_SECONDS = 5.0
"""Seconds to wait for a folder: ``sweep`` locks it for a moment only, a process that writes it for longer."""

# All names begin with a dot and end in a word of vtune's, so no file of another program is ever taken for a leftover.
_LOCK_SUFFIX = ".vtune-lock"
_PARTIAL_SUFFIX = ".vtune-partial"
_LEFTOVER_NAME = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.vtune-(?P<kind>partial|former|kept)", re.DOTALL)


@contextmanager
def exclusive_access(path: Path, busy_reason: str, wait_seconds: float | None = None) -> Iterator[None]:
    """Lock a file, or a folder that exists, against all other processes.

    :param busy_reason: what another process is doing if it holds the lock, for the error.
    :param wait_seconds: seconds to wait for that process; default: none for a folder, ``SWEEP_SECONDS`` for a file.
    :raises VtuneError: another process holds the lock.
    """
    inside = path.is_dir()
    wait_seconds = wait_seconds if wait_seconds is not None else 0.0 if inside else SWEEP_SECONDS
    with writing(path):
        lock = _acquire_or_refuse(path, path / ".lock" if inside else _lock_beside(path), busy_reason, wait_seconds)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def replacement_lock(path: Path) -> Iterator[None]:
    """Keep other processes from replacing a folder. :raises VtuneError: another process is writing the folder."""
    with writing(path):
        lock = _acquire_or_refuse(path, _lock_beside(path), "another process is writing it", SWEEP_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _lock_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}{_LOCK_SUFFIX}")


def _acquire_or_refuse(path: Path, lock_file: Path, busy_reason: str, wait_seconds: float) -> Lock:
    lock = acquire(lock_file, wait_seconds)
    if lock is None:
        raise VtuneError(f"{path}: {busy_reason}; wait until it ends, or stop it")
    if not lock.proven:
        logger.warning("%s: the file system has no locks; make sure that no other process writes there", path)
    return lock


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary file to fill; it is flushed to disk and replaces ``path`` when the block ends without an error.

    The folder must exist: a folder that was removed meanwhile does not come back with this file alone in it.

    :raises VtuneError: another process is writing the file, or the disk cannot be written.
    """
    partial = path.with_name(f".{path.name}{_PARTIAL_SUFFIX}")
    with writing(path, partial):
        lock = _acquire_or_refuse(path, partial, "another process is writing it", WAIT_SECONDS)
        try:
            yield partial
            os.fsync(lock.descriptor)
            partial.replace(path)
        finally:
            lock.release()


def write_text(path: Path, text: str) -> None:
    """Write a text file completely or not at all; its folder must exist. See ``new_file``."""
    with new_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file completely or not at all."""
    text = json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n"
    # File names that are not UTF-8 hold lone surrogates; Python escapes them as JSON does, so they read back the same.
    write_text(path, text.encode("utf-8", "backslashreplace").decode())


def make_parent(path: Path) -> None:
    """Create the parent folder of a path, and remove what killed processes left in it."""
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)


def require_new_folder(path: Path) -> bool:
    """Require that a path is an empty folder or does not exist.

    :returns: False, because nothing there has to be kept: ``new_folder`` takes this function as ``keep``.
    :raises VoiceError: there is a file, or a folder that is not empty.
    """
    if path.is_dir() and not any(path.iterdir()):
        return False
    if os.path.lexists(path):
        raise VoiceError(f"{path} {'is not empty' if path.is_dir() else 'is not a folder'}; name a new folder")
    return False


@contextmanager
def new_folder(path: Path, keep: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """Yield a temporary folder to fill; it replaces ``path`` only when the block ends without an error.

    Unfinished folders that killed processes left in the parent folder are removed first.

    :param keep: called at the end, while no other process can change ``path``; True moves the old content of ``path``
        to ``KEPT_FOLDER``, False removes it.
    :raises VtuneError: another process is writing the folder, the folder was removed meanwhile, or the disk cannot be
        written.
    """
    make_parent(path)
    partial = _sibling(path, "partial")
    with writing(path, partial), replacement_lock(path):
        try:
            partial.mkdir()
            with _require_same_folder(partial, path):
                yield partial
            _replace(partial, path, keep=keep())
        finally:
            _remove(partial)


@contextmanager
def _require_same_folder(partial: Path, path: Path) -> Iterator[None]:
    """Require that a folder is the same one at the end: libraries create a removed folder again when they write."""
    opened = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)  # while it is open, no other folder gets its inode number
    try:
        yield
        if not os.path.lexists(partial) or not os.path.samestat(os.fstat(opened), partial.lstat()):
            raise VtuneError(
                f"{path}: its unfinished folder {partial.name} was removed from outside; run the same command again"
            )
    finally:
        os.close(opened)


def replace_folder(finished: Path, path: Path) -> None:
    """Replace a folder with a finished one; the old content is removed only after the new folder is in place."""
    with writing(path, finished), replacement_lock(path):
        _replace(finished, path, keep=False)


def _replace(finished: Path, path: Path, *, keep: bool) -> None:
    """Exchange two folders while their lock is held; after a crash, ``sweep`` completes the exchange or undoes it."""
    follow_umask(finished)
    sync_folder(finished)
    former = _sibling(path, "kept" if keep else "former")
    with signals.deferred():
        if os.path.lexists(path):
            path.rename(former)
        finished.rename(path)
    _retire(former, path)


def follow_umask(folder: Path) -> None:
    """Give every file of a folder the permissions of a new file.

    Libraries write weights to a temporary file that only its owner may read: another account could not serve a voice.
    """
    umask = os.umask(0o077)
    os.umask(umask)
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            file.chmod(0o666 & ~umask)


def sync_folder(folder: Path) -> None:
    """Flush every file of a folder to disk, so that a rename of the folder cannot reach the disk before its content."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())


def is_moved_aside(path: Path) -> bool:
    """Tell whether the old content of a folder was moved aside, and the new content is not in its place yet."""
    with suppress(OSError):
        matches = map(_LEFTOVER_NAME.fullmatch, os.listdir(path.parent))
        moved = any(match and match["name"] == path.name and match["kind"] != "partial" for match in matches)
        return moved and not os.path.lexists(path)
    return False


def sweep(folder: Path) -> None:
    """Remove unfinished files and folders of killed processes, and restore folders that they moved but did not replace.

    The lock tells what belongs to a living process, on this host, in another container or on another host.
    """
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    matches = [match for match in map(_LEFTOVER_NAME.fullmatch, names) if match]
    locked = {name[1 : -len(_LOCK_SUFFIX)] for name in names if name.startswith(".") and name.endswith(_LOCK_SUFFIX)}
    for name in sorted({match["name"] for match in matches} | (locked - {""})):
        lock = acquire(_lock_beside(folder / name))
        if lock is not None:
            try:
                if lock.proven:
                    _recover(folder / name, [folder / match[0] for match in matches if match["name"] == name])
            finally:
                lock.release()
    for name in names:
        if name.startswith(".") and name.endswith(_PARTIAL_SUFFIX) and (folder / name).is_file():
            lock = acquire(folder / name)
            if lock is not None:
                lock.release(remove=lock.proven)


def _recover(path: Path, leftovers: list[Path]) -> None:
    """Remove what is left beside a path whose lock is held; if the path is gone, its old content comes back."""
    replaced = [
        leftover for leftover in leftovers if not leftover.name.endswith("partial") and os.path.lexists(leftover)
    ]
    for former in replaced:
        if not os.path.lexists(path):
            former.rename(path)
        else:
            _retire(former, path)
    for leftover in leftovers:
        if leftover not in replaced:
            _remove(leftover)


def _retire(former: Path, path: Path) -> None:
    """Remove a replaced folder, or move it to ``KEPT_FOLDER`` under its name and the time of its last change."""
    if not former.name.endswith("kept") or not os.path.lexists(former):
        _remove(former)
        return
    kept = path.parent / KEPT_FOLDER
    kept.mkdir(exist_ok=True)
    name = f"{path.name}-{time.strftime('%Y-%m-%dT%H%M%S', time.localtime(former.stat().st_mtime))}"
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    target = next(target for target in map(kept.joinpath, names) if not os.path.lexists(target))
    former.rename(target)
    logger.warning("%s: the former voice is kept as %s", path, target)


def _sibling(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.vtune-{kind}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
