"""Where things lie, and how they are written so that nothing is ever half there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from vtune.errors import VoiceError, VtuneError


@dataclass(frozen=True, slots=True)
class RunFolder:
    """``runs/<voice>/``: how a voice was made.

    :param material: the run whose clips and features this one uses and adds to; its own where none is named.
    """

    path: Path
    material: RunFolder | None = None

    @property
    def clips(self) -> Path:
        """Raw recordings cut and transcribed, one folder a source."""
        return self.material.clips if self.material else self.path / "clips"

    @property
    def features(self) -> Path:
        """Arrow files of encoded clips, keyed by content."""
        return self.material.features if self.material else self.path / "dataset"

    @property
    def checkpoints(self) -> Path:
        """One folder a training (named by its key), each with its checkpoints and the finished adapter."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """TensorBoard events and ``metrics.jsonl``."""
        return self.path / "logs"

    @property
    def ledger(self) -> Path:
        """What became of every clip, one JSON line each."""
        return self.path / "ledger.jsonl"

    @property
    def examination(self) -> Path:
        """What was wrong with the clips when they were last looked over."""
        return self.material.examination if self.material else self.path / "examination.json"

    @property
    def recipe(self) -> Path:
        """The resolved recipe of the last run."""
        return self.path / "recipe.yaml"

    @property
    def tuning(self) -> Path:
        """Searches for better settings, one folder a study."""
        return self.path / "tuning"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second run of the same voice out. :raises VtuneError: one is going on."""
        self.path.mkdir(parents=True, exist_ok=True)
        with alone(self.path, "another run of this voice is going on"):
            yield


LICENCE_NOTE = "LICENCE-NOTE.md"


@dataclass(frozen=True, slots=True)
class VoiceFolder:
    """``voices/<voice>/``: what is shipped. Its root is a PEFT adapter."""

    path: Path

    @property
    def name(self) -> str:
        """The voice's name."""
        return self.path.name

    @property
    def adapter_config(self) -> Path:
        """PEFT's own description; there for LoRA and QLoRA."""
        return self.path / "adapter_config.json"

    @property
    def weights(self) -> Path:
        """Every weight of the network; there for full fine-tuning instead of an adapter."""
        return self.path / "model.safetensors"

    @property
    def conditioning(self) -> Path:
        """What synthesis needs beside the adapter."""
        return self.path / "conditioning.safetensors"

    @property
    def record(self) -> Path:
        """Facts about the voice for programs."""
        return self.path / "voice.json"

    @property
    def card(self) -> Path:
        """Facts about the voice for people."""
        return self.path / "README.md"

    @property
    def recipe(self) -> Path:
        """The recipe that made it."""
        return self.path / "recipe.yaml"

    @property
    def samples(self) -> Path:
        """The evaluation sentences, spoken by the voice and by its base."""
        return self.path / "samples"

    @property
    def scores(self) -> Path:
        """How the voice was scored against recordings that it was not trained on."""
        return self.path / "scores.json"

    @property
    def page(self) -> Path:
        """The same to listen to, in a browser."""
        return self.path / "listen.html"


@contextmanager
def alone(path: Path, otherwise: str) -> Iterator[None]:
    """Keep everybody else out of a folder that is there, or off a file.

    :param otherwise: what is going on if somebody is in.
    :raises VtuneError: somebody is.
    """
    place = path / ".lock" if path.is_dir() else path.with_name(f".{path.name}.lock")
    lock = filelock.FileLock(place)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise VtuneError(f"{path}: {otherwise}; wait for it or stop it") from error
    try:
        yield
    finally:
        lock.release()


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: aside, flushed to disk, renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(path, "partial")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Write JSON whole or not at all."""
    text = json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n"
    # File names that are no text hold lone surrogates; Python's escape of them is JSON's and reads back as the name.
    write_text(path, text.encode("utf-8", "backslashreplace").decode())


def must_be_new(path: Path) -> None:
    """See that a folder may be filled. :raises VoiceError: something is there already."""
    if path.is_dir() and not any(path.iterdir()):
        return
    if os.path.lexists(path):
        raise VoiceError(f"{path} {'is not empty' if path.is_dir() else 'is no folder'}; name a new folder")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a folder to fill; it takes the place of ``path`` only when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(path, "partial")
    _remove(aside)
    aside.mkdir()
    try:
        yield aside
    except BaseException:
        _remove(aside)
        raise
    settle(aside, path)


def settle(aside: Path, path: Path) -> None:
    """Put a finished folder in its place; what stood there is gone only once the new one stands."""
    sync_folder(aside)
    former = _aside(path, "former")
    _remove(former)
    if os.path.lexists(path):
        path.rename(former)
    aside.rename(path)
    _remove(former)


def sync_folder(folder: Path) -> None:
    """Flush every file of a folder to disk, so that a rename cannot outrun its content."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())


def sweep(folder: Path) -> None:
    """Remove what a killed run left half written, and put back what it had moved out of the way for nothing."""
    for former in folder.glob(".*.former"):
        place = folder / former.name[1:].rsplit(".", 2)[0]
        if not os.path.lexists(place):
            former.rename(place)
    for stale in [*folder.glob(".*.partial"), *folder.glob(".*.former")]:
        _remove(stale)


def _aside(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{what}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
