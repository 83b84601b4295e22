"""The clips of a source as a review shows them: rows of tables, texts beside recordings, what was dropped, the rest."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vtune import audio
from vtune.curation.review.dropped import ghosts, interleaved
from vtune.curation.review.history import Entry, History
from vtune.dataset import Row, open_source
from vtune.dataset.editing.edit import EditableTable, StaleError
from vtune.dataset.editing.sidecars import EditableSidecar
from vtune.dataset.editing.text_file import sweep
from vtune.dataset.sources.source import FolderSource, sidecar
from vtune.errors import DataError, first_problem
from vtune.recipe import SourceRecipe
from vtune.runtime.progress import track


@dataclass(eq=False, slots=True)
class ReviewClip:
    """One clip of a review.

    :param number: what the page calls it; stays the same while the review lasts.
    :param state: ``kept`` (a row or a sidecar has its words), ``dropped``, or ``unnamed`` (only a recording).
    :param file: the table or the sidecar; None where there is none.
    :param in_table: whether ``file`` is a table.
    :param audio: path of the recording, or the name that was given where it is not ``there``.
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
    dropped: Entry | None = None


@dataclass(slots=True)
class Clips:
    """All clips of a source at one moment, in their order, and what they can be edited with."""

    root: Path
    told: list[str]
    listed: list[ReviewClip] = field(default_factory=list)
    tables: dict[Path, EditableTable] = field(default_factory=dict)
    histories: dict[Path, History] = field(default_factory=dict)

    def history(self, file: Path) -> History:
        """Return the history that a table or a sidecar has."""
        if file.parent not in self.histories:
            sweep(file.parent)
            self.histories[file.parent] = History(file.parent)
        return self.histories[file.parent]

    def rows(self, table: Path) -> list[ReviewClip]:
        """Return the clips of a table, one for each of its rows."""
        return [clip for clip in self.listed if clip.file == table and clip.in_table and clip.state == "kept"]

    def row_of(self, clip: ReviewClip) -> int:
        """Return which row of its table a clip is; of a dropped one, which it would become again."""
        ahead = self.listed[: self.listed.index(clip)] if clip in self.listed else self.listed
        return sum(other.state == "kept" and other.in_table and other.file == clip.file for other in ahead)

    def standing(self) -> list[tuple[History, Entry]]:
        """Return the edits that are not undone, the oldest first."""
        both = [(history, entry) for history in self.histories.values() for entry in history.standing()]
        return sorted(both, key=lambda pair: pair[1].time)


class Numbers:
    """Gives each clip the number that it had when the source was read before."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], int] = {}

    def give(self, clips: list[ReviewClip]) -> None:
        """Number clips by recording, and by order among those with the same recording."""
        seen: Counter[str] = Counter()
        for clip in clips:
            seen[clip.audio] += 1
            clip.number = self._known.setdefault((clip.audio, seen[clip.audio]), len(self._known) + 1)


class Lengths:
    """Seconds of recordings from their headers, looked up once while a file is the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], tuple[float, str | None]] = {}

    def fill(self, clips: list[ReviewClip]) -> None:
        """Set seconds, and the problem of recordings that cannot be read."""
        for clip in track(clips, "reading", len(clips), "clips"):
            if not clip.there:
                continue
            clip.seconds, problem = self._of(clip.audio)
            clip.problem = clip.problem or problem
            clip.there = problem is None

    def _of(self, path: str) -> tuple[float, str | None]:
        try:
            stat = os.stat(path)
            key = (path, stat.st_size, stat.st_mtime_ns)
            if key not in self._known:
                self._known[key] = round(audio.seconds_of(Path(path)), 3), None
        except DataError as error:
            self._known[key] = 0.0, str(error)
        except OSError as error:
            return 0.0, f"cannot be read: {error.strerror}"
        return self._known[key]


def read_clips(data: str) -> Clips:
    """Read a source whole.

    :raises DataError: it cannot be read, or not be edited; says what to do.
    """
    path = Path(os.path.expanduser(data)).absolute()
    try:
        source = open_source(SourceRecipe(source=str(path) if os.path.exists(path) else data), Path.cwd())
    except ValidationError as error:
        raise DataError(first_problem(error)) from error
    if not isinstance(source, FolderSource):
        raise DataError(f"{data} cannot be edited row by row; export it to a folder of recordings beside a table first")
    clips = Clips(path if path.is_dir() else path.parent, source.description)
    rows: dict[Path, list[ReviewClip]] = defaultdict(list)
    others: list[ReviewClip] = []
    for row in source.rows():
        clip = _clip(row, lone=path.is_file())
        if clip.in_table and clip.file is not None:
            rows[clip.file].append(clip)
        else:
            others.append(clip)
    for table, found in rows.items():
        clips.tables[table] = _editable(table, found)
        history = clips.history(table)
        history.recover(table.name, clips.tables[table].digest)
        standing = [entry for entry in history.standing() if entry.file == table.name]
        clips.listed += interleaved(found, [(g.place, _ghost(g.entry, table, in_table=True)) for g in ghosts(standing)])
    _add_others(clips, others)
    return clips


def _clip(row: Row, *, lone: bool) -> ReviewClip:
    beside = row.line == 1 and not lone and row.there and str(sidecar(Path(row.audio))) == row.file
    state = "unnamed" if row.line is None else "kept"
    file = None if row.line is None else Path(row.file)
    in_table = state == "kept" and not beside
    return ReviewClip(
        state, file, in_table, row.line, row.audio, row.text, row.red_flags, row.problem, row.there and bool(row.audio)
    )


def _editable(table: Path, found: list[ReviewClip]) -> EditableTable:
    editable = EditableTable(table)
    if [record.text for record in editable.records] != [clip.text for clip in found]:
        raise StaleError(f"{table} was changed while it was read; try again")
    return editable


def _add_others(clips: Clips, others: list[ReviewClip]) -> None:
    """Add the texts beside recordings and the recordings without words, but not what was dropped or split."""
    for clip in others:
        file = clip.file or Path(clip.audio)
        history = clips.history(file)
        if clip.file and not clip.in_table:
            history.recover(file.name, EditableSidecar(file).digest)
    gone: dict[str, Entry] = {}
    for history, entry in clips.standing():
        path = os.path.normpath(history.path.parent / entry.audio)
        if entry.action in ("drop", "split"):
            gone[path] = entry
        elif entry.action == "restore":
            gone.pop(path, None)
    tables = {table.name for table in clips.tables}
    for clip in others:
        went = gone.get(os.path.normpath(clip.audio)) if clip.state == "unnamed" else None
        if went is None:
            clips.listed.append(clip)
        elif went.action == "drop" and went.file not in tables:
            clips.listed.append(_ghost(went, Path(clip.audio).with_name(went.file), in_table=False))


def _ghost(entry: Entry, file: Path, *, in_table: bool) -> ReviewClip:
    path = os.path.normpath(file.parent / entry.audio)
    there = os.path.isfile(path)
    text, flags = str(entry.before.get("text", "")), str(entry.before.get("red_flags", ""))
    name = path if there else entry.audio
    return ReviewClip("dropped", file, in_table, entry.line, name, text, flags, None, there, dropped=entry)
