"""Open recordings by their names, in this process or in a worker; the openers are small to pickle."""

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
from vtune.audio.file_kinds import disguised_kind
from vtune.dataset import Source, find_raw, open_source
from vtune.dataset.sources.folder_source import FolderSource, RawFolder
from vtune.dataset.sources.fragments import clip_digest, read_clip, recording_path, split_fragment
from vtune.recipe import SourceRecipe
from vtune.types import Waveform


class OpenRecording(Protocol):
    """An open recording; see ``vtune.audio.Recording``."""

    @property
    def rate(self) -> int:
        """Samples per second."""
        ...

    @property
    def channels(self) -> int:
        """Channels of each block."""
        ...

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the samples in blocks, ``float32 [samples, channels]``. Can be called once."""
        ...


class RecordingOpener(Protocol):
    """Opens the recordings of a source; can be pickled."""

    def opened(self, name: str) -> AbstractContextManager[OpenRecording]:
        """Open a recording. :raises DataError: the recording cannot be read."""
        ...

    def digest(self, name: str) -> str:
        """Return the hash of a recording, as ``Source.digest`` does."""
        ...

    def load(self, name: str) -> tuple[Waveform, int]:
        """Return a whole recording as mono, and its sample rate. :raises DataError: the recording cannot be read."""
        ...

    def disguise(self, name: str) -> str | None:
        """Return the kind of a file if its file extension is wrong, else None."""
        ...


@dataclass(frozen=True, slots=True)
class FileOpener:
    """Opens recordings whose names are paths, or parts of recordings."""

    @contextmanager
    def opened(self, name: str) -> Iterator[OpenRecording]:
        """Open an audio file; a part of one is read as a whole, as mono."""
        recording, part = split_fragment(name)
        if part is not None:
            waveform, rate = audio.read_part(Path(recording), part)
            yield MemoryRecording(rate, 1, waveform)
            return
        with audio.opened(Path(recording)) as sound:
            yield sound

    def digest(self, name: str) -> str:
        """Return the hash of a file's bytes, or of a part."""
        return clip_digest(name)

    def load(self, name: str) -> tuple[Waveform, int]:
        """Return a whole file or a part as mono, and its sample rate."""
        return read_clip(name)

    def disguise(self, name: str) -> str | None:
        """Compare the first bytes of a file with its file extension."""
        return disguised_kind(recording_path(name))


@dataclass(frozen=True, slots=True)
class DatasetOpener:
    """Opens recordings that a data set holds; each is read as a whole."""

    source: Source

    @contextmanager
    def opened(self, name: str) -> Iterator[OpenRecording]:
        """Open a recording, as mono."""
        waveform, rate = self.load(name)
        yield MemoryRecording(rate, 1, waveform)

    def digest(self, name: str) -> str:
        """Return what the source returns."""
        return self.source.digest(name)

    def load(self, name: str) -> tuple[Waveform, int]:
        """Return what the source returns."""
        rate = self.source.rate(name)
        return self.source.load(name, rate), rate

    def disguise(self, name: str) -> str | None:
        """Return None: recordings in a data set have no file extension."""
        return None


@dataclass(frozen=True, slots=True)
class MemoryRecording:
    """A recording in memory.

    :param waveform: mono samples, ``float32 [samples]``.
    """

    rate: int
    channels: int
    waveform: Waveform

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the whole recording as one block, ``float32 [samples, 1]``."""
        yield self.waveform[:, None]


def opener_of(source: Source) -> RecordingOpener:
    """Return the opener for the recordings of a source."""
    return FileOpener() if isinstance(source, FolderSource) else DatasetOpener(source)


def open_data(recipe: SourceRecipe, folder: Path) -> tuple[Source, bool]:
    """Open a source, or a folder of recordings without words; also return whether there are words.

    :raises DataError: the source cannot be opened.
    """
    raw = find_raw(recipe, folder)
    return (open_source(recipe, folder), True) if raw is None else (RawFolder(raw), False)


def source_folders(recipe: SourceRecipe, folder: Path) -> list[Path]:
    """Return the folder of a source, if the source is on this machine, so that nothing is written there."""
    existing = next((path for path in _places(recipe, folder) if path.exists()), None)
    return [] if existing is None else [existing if existing.is_dir() else existing.parent]


def _places(recipe: SourceRecipe, folder: Path) -> tuple[Path, Path]:
    return Path(os.path.expanduser(recipe.source)), folder / recipe.source
