"""Recordings opened by their names, in this process or another: what crosses to a worker is small."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vtune import audio
from vtune.curation.doctor.file_types import disguised
from vtune.dataset import Source, find_raw, open_source
from vtune.dataset.sources.source import FolderSource
from vtune.recipe import SourceRecipe
from vtune.types import Waveform


class Sound(Protocol):
    """An open recording; see ``vtune.audio.Recording``."""

    @property
    def rate(self) -> int:
        """Hz."""
        ...

    @property
    def channels(self) -> int:
        """Of each block."""
        ...

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield ``[samples, channels]``, once."""
        ...


class Listener(Protocol):
    """Opens the recordings of a source; can be pickled."""

    def opened(self, name: str) -> AbstractContextManager[Sound]:
        """Open a recording. :raises DataError: it cannot be read."""
        ...

    def digest(self, name: str) -> str:
        """Return what ``Source.digest`` returns."""
        ...

    def load(self, name: str) -> tuple[Waveform, int]:
        """Read a whole recording as mono, and its rate. :raises DataError: it cannot be read."""
        ...

    def disguise(self, name: str) -> str | None:
        """Return what a file is, where its ending says something else."""
        ...


@dataclass(frozen=True, slots=True)
class Files:
    """Recordings whose names are paths."""

    def opened(self, name: str) -> AbstractContextManager[Sound]:
        """Open a file."""
        return audio.opened(Path(name))

    def digest(self, name: str) -> str:
        """Hash a file's bytes."""
        return audio.digest_of(Path(name))

    def load(self, name: str) -> tuple[Waveform, int]:
        """Read a file."""
        return audio.recorded(Path(name))

    def disguise(self, name: str) -> str | None:
        """Look at the first bytes."""
        return disguised(Path(name))


@dataclass(frozen=True, slots=True)
class Held:
    """Recordings that a data set holds; each is read whole, as a data set holds it."""

    source: Source

    @contextmanager
    def opened(self, name: str) -> Iterator[Sound]:
        """Read a recording, mono."""
        waveform, rate = self.load(name)
        yield Whole(rate, 1, waveform)

    def digest(self, name: str) -> str:
        """Ask the source."""
        return self.source.digest(name)

    def load(self, name: str) -> tuple[Waveform, int]:
        """Ask the source."""
        rate = self.source.rate(name)
        return self.source.load(name, rate), rate

    def disguise(self, name: str) -> str | None:
        """Nothing: a data set has no endings."""
        return None


@dataclass(frozen=True, slots=True)
class Whole:
    """A recording in memory.

    :param waveform: mono.
    """

    rate: int
    channels: int
    waveform: Waveform

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield all of it."""
        yield self.waveform[:, None]


def listener(source: Source) -> Listener:
    """Return what opens the recordings of a source."""
    return Files() if isinstance(source, FolderSource) else Held(source)


def open_data(recipe: SourceRecipe, folder: Path) -> tuple[Source, bool]:
    """Open a source, or a folder of recordings without words; say whether there are words.

    :raises DataError: as ``vtune.dataset.open_source``.
    """
    raw = find_raw(recipe, folder)
    return (open_source(recipe, folder), True) if raw is None else (FolderSource(raw, [], whole=True), False)


def homes(recipe: SourceRecipe, folder: Path) -> list[Path]:
    """Return the folder that a source lies in, if it lies on this machine: nothing of ours belongs there."""
    found = next((place for place in _places(recipe, folder) if place.exists()), None)
    return [] if found is None else [found if found.is_dir() else found.parent]


def _places(recipe: SourceRecipe, folder: Path) -> tuple[Path, Path]:
    return Path(os.path.expanduser(recipe.source)), folder / recipe.source
