"""Files and folders that are whole or not there, and locks that say whose the half written ones are."""

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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vtune.errors import VoiceError, VtuneError
from vtune.runtime import signals
from vtune.runtime.disk import writing
from vtune.runtime.locks import Lock, acquire

logger = logging.getLogger(__name__)

KEPT_FOLDER = ".former"
"""Where finished voices go that another voice of their name took the place of; hidden, so that nobody lists it."""

WAIT_SECONDS = 10.0
"""How long a file is waited for that another process is writing."""

SWEEP_SECONDS = 5.0
"""How long a folder is waited for: it is locked for a moment by whoever sweeps, else by somebody who writes it."""

# All names begin with a dot and end in a word of ours: nothing of anybody else's is ever taken for a leftover.
_LOCK = ".vtune-lock"
_PARTIAL_FILE = ".vtune-partial"
_ASIDE = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.vtune-(?P<kind>partial|former|kept)", re.DOTALL)


@contextmanager
def alone(path: Path, otherwise: str, wait_seconds: float | None = None) -> Iterator[None]:
    """Keep everybody else out of a folder that is there, or off a file.

    :param otherwise: what is going on if somebody is in.
    :param wait_seconds: how long to wait then; default: not at all, or as long as somebody may sweep there.
    :raises VtuneError: somebody is.
    """
    inside = path.is_dir()
    wait_seconds = wait_seconds if wait_seconds is not None else 0.0 if inside else SWEEP_SECONDS
    with writing(path):
        lock = _taken(path, path / ".lock" if inside else _lock_beside(path), otherwise, wait_seconds)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def place_locked(path: Path) -> Iterator[None]:
    """Keep whoever would replace a folder from doing so. :raises VtuneError: somebody is writing it."""
    with writing(path):
        lock = _taken(path, _lock_beside(path), "another process is writing it", SWEEP_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _lock_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}{_LOCK}")


def _taken(path: Path, lock_file: Path, otherwise: str, wait_seconds: float) -> Lock:
    lock = acquire(lock_file, wait_seconds)
    if lock is None:
        raise VtuneError(f"{path}: {otherwise}; wait for it or stop it")
    if not lock.proven:
        logger.warning("%s: its file system has no locks; see to it that nothing else writes there", path)
    return lock


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a file to fill; flushed to disk, it takes the place of ``path`` only when the block ends without an error.

    The folder has to be there: one that was removed meanwhile does not come back with this one file in it.

    :raises VtuneError: another process is writing it, or the disk cannot be written.
    """
    aside = path.with_name(f".{path.name}{_PARTIAL_FILE}")
    with writing(path, aside):
        lock = _taken(path, aside, "another process is writing it", WAIT_SECONDS)
        try:
            yield aside
            os.fsync(lock.descriptor)
            aside.replace(path)
        finally:
            lock.release()


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: aside, flushed to disk, renamed. Its folder has to be there."""
    with new_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, data: Any) -> None:
    """Write JSON whole or not at all."""
    text = json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n"
    # File names that are no text hold lone surrogates; Python's escape of them is JSON's and reads back as the name.
    write_text(path, text.encode("utf-8", "backslashreplace").decode())


def make_parent(path: Path) -> None:
    """Make the folder that a file or folder is going to lie in, and remove what killed processes left there."""
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)


def must_be_new(path: Path) -> bool:
    """See that a folder may be filled.

    :returns: False, for there is nothing to be kept: ``new_folder`` may ask this at its end.
    :raises VoiceError: something is there already.
    """
    if path.is_dir() and not any(path.iterdir()):
        return False
    if os.path.lexists(path):
        raise VoiceError(f"{path} {'is not empty' if path.is_dir() else 'is no folder'}; name a new folder")
    return False


@contextmanager
def new_folder(path: Path, keep: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """Give a folder to fill; it takes the place of ``path`` only when the block ends without an error.

    What killed processes left half written in the folder above is removed first.

    :param keep: asked at the end, when nobody else can change what stands at ``path``, whether that is kept in
        ``KEPT_FOLDER``; else it is removed.
    :raises VtuneError: another process is writing it, it was removed meanwhile, or the disk cannot be written.
    """
    make_parent(path)
    aside = _aside(path, "partial")
    with writing(path, aside), place_locked(path):
        try:
            aside.mkdir()
            with _must_stay(aside, path):
                yield aside
            _replace(aside, path, keep=keep())
        finally:
            _remove(aside)


@contextmanager
def _must_stay(aside: Path, path: Path) -> Iterator[None]:
    """See that a folder is still the one that was made: libraries make anew what they write to, if it was removed."""
    opened = os.open(aside, os.O_RDONLY | os.O_DIRECTORY)  # while it is open, no other folder gets its number
    try:
        yield
        if not os.path.lexists(aside) or not os.path.samestat(os.fstat(opened), aside.lstat()):
            raise VtuneError(f"{path}: somebody removed {aside.name} while it was written; give the same command again")
    finally:
        os.close(opened)


def settle(aside: Path, path: Path) -> None:
    """Put a finished folder in its place; what stood there is gone only once the new one stands."""
    with writing(path, aside), place_locked(path):
        _replace(aside, path, keep=False)


def _replace(aside: Path, path: Path, *, keep: bool) -> None:
    """Exchange folders whose lock is held; ``sweep`` completes it, or takes it back, from every point in between."""
    follow_umask(aside)
    sync_folder(aside)
    former = _aside(path, "kept" if keep else "former")
    with signals.deferred():
        if os.path.lexists(path):
            path.rename(former)
        aside.rename(path)
    _dispose(former, path)


def follow_umask(folder: Path) -> None:
    """Give every file of a folder the mode of a new file.

    Libraries write weights to a temporary file, which only its owner may read: another account could not serve a voice.
    """
    umask = os.umask(0o077)
    os.umask(umask)
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            file.chmod(0o666 & ~umask)


def sync_folder(folder: Path) -> None:
    """Flush every file of a folder to disk, so that a rename cannot outrun its content."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())


def sweep(folder: Path) -> None:
    """Remove what killed processes left half written, and put back what they had moved out of the way for nothing.

    What belongs to a living process, here, in another container or on another host, is known by its lock.
    """
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    matches = [match for match in map(_ASIDE.fullmatch, names) if match]
    locked = {name[1 : -len(_LOCK)] for name in names if name.startswith(".") and name.endswith(_LOCK)}
    for name in sorted({match["name"] for match in matches} | (locked - {""})):
        lock = acquire(_lock_beside(folder / name))
        if lock is not None:
            try:
                if lock.proven:
                    _tidy(folder / name, [folder / match[0] for match in matches if match["name"] == name])
            finally:
                lock.release()
    for name in names:
        if name.startswith(".") and name.endswith(_PARTIAL_FILE) and (folder / name).is_file():
            lock = acquire(folder / name)
            if lock is not None:
                lock.release(remove=lock.proven)


def _tidy(path: Path, asides: list[Path]) -> None:
    """Remove what is left beside a place whose lock is held; if nothing stands there, what stood there comes back."""
    formers = [aside for aside in asides if not aside.name.endswith("partial") and os.path.lexists(aside)]
    for former in formers:
        if not os.path.lexists(path):
            former.rename(path)
        else:
            _dispose(former, path)
    for aside in asides:
        if aside not in formers:
            _remove(aside)


def _dispose(former: Path, path: Path) -> None:
    """Remove what was replaced, or move it to where those are that are kept, under its name and when it was written."""
    if not former.name.endswith("kept") or not os.path.lexists(former):
        _remove(former)
        return
    kept = path.parent / KEPT_FOLDER
    kept.mkdir(exist_ok=True)
    name = f"{path.name}-{time.strftime('%Y-%m-%dT%H%M%S', time.localtime(former.stat().st_mtime))}"
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    place = next(place for place in map(kept.joinpath, names) if not os.path.lexists(place))
    former.rename(place)
    logger.warning("%s: what stood there is kept as %s", path, place)


def _aside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.vtune-{kind}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
