"""Read the clips of a source for a review: rows of tables, sidecar texts, dropped rows, recordings without words."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vtune.curation.review.dropped_positions import dropped_rows, interleaved
from vtune.curation.review.history import History, HistoryEntry
from vtune.dataset import Row, open_source
from vtune.dataset.editing.edit import EditableTable, StaleError
from vtune.dataset.editing.sidecars import EditableSidecar
from vtune.dataset.editing.text_file import sweep
from vtune.dataset.sources.folder_source import FolderSource
from vtune.dataset.sources.fragments import clip_seconds, recording_path, without_neighbours
from vtune.dataset.sources.sidecars import sidecar_of
from vtune.errors import DataError, first_problem
from vtune.recipe import SourceRecipe
from vtune.runtime.progress import track


@dataclass(eq=False, slots=True)
class ReviewClip:
    """One clip of a review.

    :param state: ``kept`` (a row or a sidecar has its words), ``dropped``, or ``unnamed`` (only a recording).
    :param file: the table or the sidecar; None if there is none.
    :param in_table: True if ``file`` is a table.
    :param audio: path of the recording or name of its part, or the name in the table if the recording is not
        ``there``.
    :param there: True if the recording can be read.
    :param number: number of the clip on the page; it stays the same during a review.
    :param dropped: the history entry that dropped the clip.
    """

    state: str
    file: Path | None
    in_table: bool
    line: int | None
    audio: str
    text: str
    flags: str
    problem: str | None
    there: bool
    number: int = 0
    seconds: float = 0.0
    approved: bool = False
    edited: bool = False
    dropped: HistoryEntry | None = None


@dataclass(slots=True)
class ReviewClips:
    """All clips of a source in their order, with the tables and histories to edit them.

    :param description: lines that describe how the source was read.
    """

    root: Path
    description: list[str]
    listed: list[ReviewClip] = field(default_factory=list)
    tables: dict[Path, EditableTable] = field(default_factory=dict)
    histories: dict[Path, History] = field(default_factory=dict)

    def history(self, file: Path) -> History:
        """Return the history of a table or a sidecar."""
        if file.parent not in self.histories:
            sweep(file.parent)
            self.histories[file.parent] = History(file.parent)
        return self.histories[file.parent]

    def rows(self, table: Path) -> list[ReviewClip]:
        """Return the clips of a table, one per row."""
        return [clip for clip in self.listed if clip.file == table and clip.in_table and clip.state == "kept"]

    def row_of(self, clip: ReviewClip) -> int:
        """Return the row number of a clip in its table; for a dropped clip, the number that it would get."""
        earlier = self.listed[: self.listed.index(clip)] if clip in self.listed else self.listed
        return sum(
            earlier_clip.state == "kept" and earlier_clip.in_table and earlier_clip.file == clip.file
            for earlier_clip in earlier
        )

    def standing(self) -> list[tuple[History, HistoryEntry]]:
        """Return the edits that were not undone, the oldest first, each with its history."""
        pairs = [(history, entry) for history in self.histories.values() for entry in history.standing()]
        return sorted(pairs, key=lambda pair: pair[1].time)


class ClipNumbers:
    """Assigns each clip the number that it had when the source was last read."""

    def __init__(self) -> None:
        self._cache: dict[tuple[Any, ...], int] = {}

    def assign(self, clips: list[ReviewClip]) -> None:
        """Set the numbers of clips, by their recording and their order among clips with the same recording."""
        seen: Counter[str] = Counter()
        for clip in clips:
            name = without_neighbours(clip.audio)
            seen[name] += 1
            clip.number = self._cache.setdefault((name, seen[name]), len(self._cache) + 1)


class RecordingLengths:
    """Lengths of recordings from their headers; each is read once while its file stays the same."""

    def __init__(self) -> None:
        self._cache: dict[tuple[str, int, int], tuple[float, str | None]] = {}

    def fill(self, clips: list[ReviewClip]) -> None:
        """Set the seconds of clips, and the problem of recordings that cannot be read."""
        for clip in track(clips, "reading recordings", len(clips), "clips"):
            if not clip.there:
                continue
            clip.seconds, problem = self._of(clip.audio)
            clip.problem = clip.problem or problem
            clip.there = problem is None

    def _of(self, name: str) -> tuple[float, str | None]:
        try:
            stat = os.stat(recording_path(name))
            key = (name, stat.st_size, stat.st_mtime_ns)
            if key not in self._cache:
                self._cache[key] = round(clip_seconds(name), 3), None
        except DataError as error:
            self._cache[key] = 0.0, str(error)
        except OSError as error:
            return 0.0, f"cannot be read: {error.strerror}"
        return self._cache[key]


def read_clips(data: str) -> ReviewClips:
    """Read all clips of a source.

    :raises DataError: the source cannot be read or edited; the message says what to do.
    """
    path = Path(os.path.expanduser(data)).absolute()
    try:
        source = open_source(SourceRecipe(source=str(path) if os.path.exists(path) else data), Path.cwd())
    except ValidationError as error:
        raise DataError(first_problem(error)) from error
    if not isinstance(source, FolderSource):
        raise DataError(f"{data} cannot be edited row by row; first export it to a folder with recordings and a table")
    clips = ReviewClips(path if path.is_dir() else path.parent, source.description)
    rows: dict[Path, list[ReviewClip]] = defaultdict(list)
    loose_clips: list[ReviewClip] = []
    for row in source.rows():
        clip = _clip(row, is_file=path.is_file())
        if clip.in_table and clip.file is not None:
            rows[clip.file].append(clip)
        else:
            loose_clips.append(clip)
    for table, table_clips in rows.items():
        clips.tables[table] = _editable(table, table_clips)
        history = clips.history(table)
        history.recover(table.name, clips.tables[table].digest)
        standing = [entry for entry in history.standing() if entry.file == table.name]
        clips.listed += interleaved(
            table_clips,
            [(row.position, _dropped_clip(row.entry, table, in_table=True)) for row in dropped_rows(standing)],
        )
    _add_others(clips, loose_clips)
    return clips


def normal_name(name: str | Path) -> str:
    """Return the name of a clip in the one form that histories are compared by."""
    return os.path.normpath(without_neighbours(str(name)))


def _clip(row: Row, *, is_file: bool) -> ReviewClip:
    sidecar = sidecar_of(Path(row.audio)) if row.line == 1 and not is_file and row.there else None
    has_sidecar = sidecar is not None and str(sidecar.path) == row.file
    state = "unnamed" if row.line is None else "kept"
    file = None if row.line is None else Path(row.file)
    in_table = state == "kept" and not has_sidecar
    return ReviewClip(
        state, file, in_table, row.line, row.audio, row.text, row.red_flags, row.problem, row.there and bool(row.audio)
    )


def _editable(table: Path, clips: list[ReviewClip]) -> EditableTable:
    editable = EditableTable(table)
    if [record.text for record in editable.records] != [clip.text for clip in clips]:
        raise StaleError(f"{table} changed while it was read; try again")
    return editable


def _add_others(clips: ReviewClips, loose_clips: list[ReviewClip]) -> None:
    """Add clips with sidecar texts and recordings without words, but not those that were dropped or split."""
    for clip in loose_clips:
        file = clip.file or Path(clip.audio)
        history = clips.history(file)
        if clip.file and not clip.in_table:
            history.recover(file.name, EditableSidecar(file).digest)
    removed_by: dict[str, HistoryEntry] = {}
    for history, entry in clips.standing():
        path = normal_name(history.path.parent / entry.audio)
        if entry.action in ("drop", "split"):
            removed_by[path] = entry
        elif entry.action == "restore":
            removed_by.pop(path, None)
    tables = {table.name for table in clips.tables}
    for clip in loose_clips:
        removal = removed_by.get(normal_name(clip.audio)) if clip.state == "unnamed" else None
        if removal is None:
            clips.listed.append(clip)
        elif removal.action == "drop" and removal.file not in tables:
            clips.listed.append(_dropped_clip(removal, Path(clip.audio).with_name(removal.file), in_table=False))


def _dropped_clip(entry: HistoryEntry, file: Path, *, in_table: bool) -> ReviewClip:
    path = normal_name(file.parent / entry.audio)
    there = os.path.isfile(recording_path(path))
    text, flags = str(entry.before.get("text", "")), str(entry.before.get("red_flags", ""))
    name = path if there else entry.audio
    return ReviewClip("dropped", file, in_table, entry.line, name, text, flags, None, there, dropped=entry)
