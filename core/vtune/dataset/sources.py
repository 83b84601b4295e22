"""Sources of clips: a folder beside a table, a table, sidecar texts, or a data set; detected and said aloud."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from vtune import audio
from vtune.dataset import tables
from vtune.dataset.tables import Table, open_table
from vtune.errors import DataError
from vtune.recipe import SourceRecipe
from vtune.types import Waveform


@dataclass(frozen=True, slots=True)
class Row:
    """One clip as its source lists it: ``audio`` is what ``Source.load`` takes, ``problem`` why it cannot be used."""

    file: str
    line: int | None
    audio: str
    text: str
    speaker: str
    problem: str | None = None


class Source(Protocol):
    """Where clips come from."""

    description: list[str]

    def rows(self) -> Iterator[Row]:
        """Yield every clip, in the source's own order; may be called again."""
        ...

    def seconds(self, name: str) -> float:
        """Return the seconds of a recording from its header. :raises DataError: it cannot be read."""
        ...

    def digest(self, name: str) -> str:
        """Return the SHA-256 of the recording's bytes."""
        ...

    def load(self, name: str, sample_rate: int) -> Waveform:
        """Read a recording, mono, at the rate. :raises DataError: it cannot be read."""
        ...


class FolderSource:
    """Recordings in a folder, words in tables (or in one text file beside each recording)."""

    def __init__(self, root: Path, found: list[Table], *, whole: bool) -> None:
        self._root = root
        self._tables = found
        self._whole = whole
        self._index = AudioIndex(root)
        self.description = [table.describe() for table in found] or ["a text file beside each recording"]

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the tables, then the recordings that no row names."""
        if not self._tables:
            yield from self._sidecars()
            return
        named: set[str] = set()
        for table in self._tables:
            for record in table.records():
                path, problem = ("", record.problem)
                if problem is None:
                    path, problem = self._index.find(record.audio, table.path.parent)
                if path:
                    named.add(path)
                yield Row(str(table.path), record.line, path or record.audio, record.text, record.speaker, problem)
        if self._whole:
            listed = " or ".join(table.path.name for table in self._tables)
            for path in self._index.paths():
                if path not in named:
                    yield Row(path, None, path, "", "", f"no row of {listed} names it")

    def seconds(self, name: str) -> float:
        """Return the seconds of a recording."""
        return audio.seconds_of(Path(name))

    def digest(self, name: str) -> str:
        """Hash a file's bytes."""
        digest = sha256()
        with Path(name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def load(self, name: str, sample_rate: int) -> Waveform:
        """Read a recording."""
        return audio.read(Path(name), sample_rate)

    def _sidecars(self) -> Iterator[Row]:
        for path in self._index.paths():
            text = _sidecar(Path(path))
            if text is None:
                yield Row(path, None, path, "", "", "no table names it and no .txt or .lab lies beside it")
                continue
            words = " ".join(text.read_text(encoding="utf-8-sig", errors="replace").split())
            yield Row(str(text), 1, path, words, "", None if words else "no words")


class AudioIndex:
    """Finds the recording that a table means: by path, by name, with or without its ending.

    The folder is walked once, on the first name that is no path of its own; links are not followed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_stem: dict[str, list[str]] | None = None

    def find(self, name: str, folder: Path) -> tuple[str, str | None]:
        """Return the path, or an empty path and the problem."""
        for base in dict.fromkeys((folder, self._root)):
            path = base / name
            if path.suffix.lower() in audio.SUFFIXES and path.is_file():
                return str(path), None
        wanted = name.replace("\\", "/").rsplit("/", 1)[-1]
        stem = _stem(wanted)
        found = self._stems().get(stem) or self._stems().get(wanted) or []
        exact = [path for path in found if Path(path).name == wanted]
        found = exact or found
        if len(found) > 1:
            return "", f"{name!r} could be {found[0]} or {found[1]}; name the folder too"
        if found:
            return found[0], None
        return "", f"names {name!r}, but {self._root} has no such recording"

    def paths(self) -> Iterator[str]:
        """Yield every recording under the root, sorted by folder and name."""
        for paths in self._stems().values():
            yield from paths

    def _stems(self) -> dict[str, list[str]]:
        if self._by_stem is None:
            self._by_stem = {}
            for folder, folders, files in os.walk(self._root):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                for file in sorted(files):
                    if os.path.splitext(file)[1].lower() in audio.SUFFIXES and not file.startswith("."):
                        self._by_stem.setdefault(_stem(file), []).append(os.path.join(folder, file))
        return self._by_stem


def open_source(recipe: SourceRecipe, recipe_folder: Path) -> Source:
    """Find out what a source is.

    :raises DataError: there is nothing there, or nothing that is understood; says what was looked for.
    """
    from vtune.dataset.datasets import DatasetSource, is_saved_dataset

    if recipe.source.startswith("hub:"):
        return DatasetSource.from_hub(recipe)
    path = _locate(recipe.source, recipe_folder)
    if path.is_dir() and is_saved_dataset(path):
        return DatasetSource.from_disk(path, recipe)
    if path.suffix.lower() in {".parquet", ".arrow"}:
        return DatasetSource.from_file(path, recipe)
    if path.is_file():
        if path.suffix.lower() not in tables.SUFFIXES:
            raise DataError(
                f"{path} is no table ({', '.join(sorted(tables.SUFFIXES))}, .parquet); name a folder or a table"
            )
        return FolderSource(path.parent, [_table(path, recipe)], whole=False)
    if not path.is_dir():
        raise DataError(f"{path} is neither a folder nor a plain file")
    return _open_folder(path, recipe)


def _locate(source: str, recipe_folder: Path) -> Path:
    for path in (Path(source).expanduser(), recipe_folder / source):
        if path.exists():
            return path
    places = dict.fromkeys((str(Path(source).absolute()), str((recipe_folder / source).absolute())))
    raise DataError(f"there is no source {source!r} (looked for {' and '.join(places)})")


def _open_folder(path: Path, recipe: SourceRecipe) -> Source:
    if recipe.table is not None:
        table = path / recipe.table
        if not table.is_file():
            raise DataError(f"{path} has no table {recipe.table!r}")
        return FolderSource(path, [_table(table, recipe)], whole=True)
    # Hugging Face's audiofolder keeps each split in a folder of its own.
    split = path / recipe.split
    root = split if split.is_dir() and _tables_in(split) and not _tables_in(path) else path
    found = _tables_in(root) or _tables_below(root)
    if len(found) > 1 and all(table.parent == found[0].parent for table in found):
        names = ", ".join(table.name for table in found)
        raise DataError(f"{root} has several tables ({names}); say which with 'table:'")
    if found:
        return FolderSource(root, [_table(table, recipe) for table in found], whole=True)
    index = AudioIndex(root)
    first = next(index.paths(), None)
    if first is None:
        raise DataError(f"{root} has no recordings ({', '.join(sorted(audio.SUFFIXES))}) and no table")
    if all(_sidecar(Path(name)) is None for name in index.paths()):
        raise DataError(
            f"{root} has recordings but no words: put a table there (transcripts.csv with the columns filename,text), "
            "or a .txt beside each recording"
        )
    return FolderSource(root, [], whole=True)


def _table(path: Path, recipe: SourceRecipe) -> Table:
    return open_table(path, recipe.audio_column, recipe.text_column, recipe.speaker_column)


def _tables_in(folder: Path) -> list[Path]:
    """Tables of a folder; a .txt or .json counts only with a name that tables have, for others are notes."""
    plain = {".csv", ".tsv", ".jsonl", ".ndjson"}
    named = {"metadata", "transcripts", "transcript", "manifest", "train"}
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".")
        and (path.suffix.lower() in plain or (path.suffix.lower() in tables.SUFFIXES and path.stem.lower() in named))
        and _sidecar_of(path) is None
    ]  # fmt: skip


def _tables_below(folder: Path) -> list[Path]:
    return [table for child in sorted(folder.iterdir()) if child.is_dir() for table in _tables_in(child)]


def _sidecar(recording: Path) -> Path | None:
    return next((p for p in (recording.with_suffix(".txt"), recording.with_suffix(".lab")) if p.is_file()), None)


def _sidecar_of(table: Path) -> Path | None:
    if table.suffix.lower() != ".txt":
        return None
    return next((p for s in audio.SUFFIXES if (p := table.with_suffix(s)).is_file()), None)


def _stem(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in audio.SUFFIXES else name
