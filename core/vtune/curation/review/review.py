"""Review a source: all edits that a listener can make, each written to disk and to the history at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from vtune.curation.review.clip_marks import RecordingDigests, mark_clips
from vtune.curation.review.clip_split import split_recording
from vtune.curation.review.clips import ClipNumbers, RecordingLengths, ReviewClip, ReviewClips, normal_name, read_clips
from vtune.curation.review.history import HistoryEntry, undo_entry
from vtune.curation.review.text_location import SidecarLocation, TableLocation, TextLocation
from vtune.dataset.editing.edit import Change, OnChange, StaleError, speakable_words
from vtune.dataset.editing.sidecars import EditableSidecar
from vtune.dataset.sources.fragments import recording_path, without_neighbours
from vtune.dataset.sources.plain_text import unfit_words
from vtune.errors import DataError
from vtune.runtime.paths import write_text


class Review:
    """The clips of a source, each identified by its number, under one lock.

    A method raises ``DataError`` if an edit is not possible; the files are then unchanged. It raises ``StaleError`` if
    somebody else changed a file since it was read; ``read`` reads the source again.
    """

    def __init__(self, data: str) -> None:
        self._data = data
        self._lock = threading.RLock()
        self._numbers, self._lengths, self._digests = ClipNumbers(), RecordingLengths(), RecordingDigests()
        self.read()

    def read(self) -> None:
        """Read the source again; clips keep their numbers."""
        with self._lock:
            clips = read_clips(self._data)
            self._numbers.assign(clips.listed)
            self._lengths.fill(clips.listed)
            mark_clips(clips, self._digests, clips.listed)
            self._clips: ReviewClips = clips
            self._by_number = {clip.number: clip for clip in clips.listed}

    def clips(self) -> ReviewClips:
        """Return all clips in their current state."""
        return self._clips

    def clip(self, number: int) -> ReviewClip:
        """Return one clip by its number.

        :raises DataError: there is no clip with this number.
        """
        with self._lock:
            if number not in self._by_number:
                raise DataError(f"there is no clip {number}")
            return self._by_number[number]

    def set_words(self, number: int, words: str, was: str | None = None) -> None:
        """Change the words of a clip, or add a row with words for a recording that no row names.

        :param was: the words that the listener saw; nothing is changed if the clip has other words by now.
        """
        with self._lock:
            clip, words = self._unchanged_clip(number, was), speakable_words(words)
            if clip.state == "unnamed":
                self._add(clip, words)
            elif words != clip.text:
                location = self._location(clip)
                after = {**_row_content(clip), "text": words}
                self._make(clip, "words", after, lambda on_change: location.set_words(words, on_change))
                clip.problem = None if clip.problem == unfit_words(clip.text) else clip.problem
                clip.text = words
                self._refresh(clip)

    def approve(self, number: int, was: str | None = None) -> None:
        """Approve the recording and its words; the red flags of the row are removed."""
        with self._lock:
            clip = self._unchanged_clip(number, was)
            location = self._location(clip)
            if clip.problem is not None or not clip.there:
                raise DataError(f"this clip cannot be approved: {clip.problem}")
            digest = self._digests.of(clip.audio)
            if clip.flags:
                after = {**_row_content(clip), "red_flags": ""}
                self._make(clip, "approve", after, lambda on_change: location.set_flags("", on_change), digest=digest)
                clip.flags = ""
            elif not clip.approved:
                self._clips.history(location.path).append(
                    self._entry(clip, "approve", _row_content(clip), digest=digest)
                )
            self._refresh(clip)

    def doubt(self, number: int) -> None:
        """Withdraw an approval."""
        with self._lock:
            clip = self.clip(number)
            if clip.approved and clip.file is not None:
                digest = self._digests.of(clip.audio)
                self._clips.history(clip.file).append(self._entry(clip, "doubt", _row_content(clip), digest=digest))
                self._refresh(clip)

    def drop(self, number: int) -> None:
        """Remove a clip's row from its table, or delete its sidecar text; the recording stays."""
        with self._lock:
            clip = self.clip(number)
            location = self._location(clip)
            kept = sum(listed_clip.state == "kept" for listed_clip in self._clips.listed)
            if kept == 1 and not clip.in_table:
                raise DataError(
                    f"{clip.file} is the last text, so it cannot be dropped here; delete it by hand if needed"
                )
            clip.dropped = self._make(clip, "drop", {}, location.drop)
            clip.state = "dropped"
            self._refresh(clip)

    def restore(self, number: int) -> None:
        """Put the row or the text of a dropped clip back in its former position."""
        with self._lock:
            clip = self.clip(number)
            dropped = clip.dropped
            if dropped is None or dropped.change is None:
                raise DataError("this clip was not dropped")
            location, change = self._location(clip), dropped.change
            self._make(
                clip,
                "restore",
                _row_content(clip),
                lambda on_change: location.put_back(change, on_change),
                of=dropped.id,
            )
            clip.state, clip.dropped = "kept", None
            self._refresh(clip)

    def split(self, number: int, at: float, words: tuple[str, str], was: str | None = None) -> tuple[int, int]:
        """Split a clip in two near ``at`` seconds; return the numbers of both halves.

        The halves are new recordings beside the old one. The old recording stays on disk, but no row names it any more.
        """
        with self._lock:
            clip = self._unchanged_clip(number, was)
            location, old = self._location(clip), recording_path(clip.audio)
            if str(old) != clip.audio:
                raise DataError(
                    f"this clip is a part of {old}, so it cannot be split here; write two rows with times "
                    f"into {clip.file}"
                )
            texts_of_halves = [speakable_words(half) for half in words]
            if not clip.there:
                raise DataError(f"this clip cannot be split: {clip.problem}")
            first, second, cut = split_recording(old, at)
            halves = list(zip((first, second), texts_of_halves, strict=True))
            texts = location.texts(halves)
            new_files = {_relative(new, location.path): self._digests.of(str(new)) for new in (first, second)}
            new_files |= {
                _relative(path, location.path): sha256(text.encode()).hexdigest() for path, text in texts.items()
            }

            def make(on_change: OnChange) -> Change:
                def note_and_write(change: Change) -> None:
                    on_change(change)
                    for path, text in texts.items():
                        write_text(path, text)

                return location.split(old, halves, note_and_write)

            try:
                self._make(clip, "split", {"texts": texts_of_halves, "at": round(cut, 4)}, make, made=new_files)
            except BaseException:
                for path in (first, second, *texts):
                    path.unlink(missing_ok=True)
                raise
            self.read()
            return self._number(first), self._number(second)

    def undo(self) -> int | None:
        """Undo the last edit; return the number of its clip (0 if it has none), or None if there is nothing to undo."""
        with self._lock:
            standing = self._clips.standing()
            if not standing:
                return None
            history, entry = standing[-1]
            file, change = history.path.parent / entry.file, entry.change
            if change is None:
                history.append(undo_entry(entry))
            else:
                if file not in self._clips.tables and file.suffix.lower() not in (".txt", ".lab"):
                    raise DataError(f"{file} is not a table of {self._data}, so its edit cannot be undone here")
                editable = self._clips.tables.get(file) or EditableSidecar(file)
                history.carry_out(undo_entry(entry), lambda on_change: editable.undo(change, on_change))
            history.remove_made(entry)
            self.read()
            return self._number(history.path.parent / entry.audio)

    def undoable(self) -> str | None:
        """Return a description of the edit that ``undo`` would undo, or None."""
        with self._lock:
            standing = self._clips.standing()
            return f"{standing[-1][1].action} {os.path.basename(standing[-1][1].audio)}" if standing else None

    def _add(self, clip: ReviewClip, words: str) -> None:
        recording, tables = Path(clip.audio), self._clips.tables
        if recording != recording_path(clip.audio):
            raise DataError(
                f"this is a part of {recording_path(clip.audio)} that no row names, so it cannot get words here; "
                "write a row with its times into the table"
            )
        tables_above = [table for table in tables if recording.is_relative_to(table.parent)]
        if clip.line is None and not os.path.isfile(recording):
            raise DataError(f"this clip has no row: {clip.problem}")
        if tables and not tables_above:
            raise DataError(f"no table lies in a folder above {clip.audio}, so it cannot get words")
        file = max(tables_above, key=lambda table: len(table.parts)) if tables_above else recording.with_suffix(".txt")
        named = replace(clip, file=file, in_table=bool(tables_above), state="kept")
        location, name = self._location(named), os.path.relpath(recording, file.parent)
        self._make(named, "add", {"text": words}, lambda on_change: location.add(name, words, on_change))
        self.read()

    def _unchanged_clip(self, number: int, was: str | None) -> ReviewClip:
        clip = self.clip(number)
        if was is not None and was != clip.text:
            raise StaleError(f"this clip was changed in another window; its words are now: {clip.text}")
        return clip

    def _location(self, clip: ReviewClip) -> TextLocation:
        if clip.file is None:
            raise DataError(f"this clip has no row: {clip.problem}")
        if not clip.in_table:
            return SidecarLocation(EditableSidecar(clip.file))
        table = self._clips.tables[clip.file]
        return TableLocation(table, self._clips.row_of(clip), self._clips.root)

    def _make(
        self,
        clip: ReviewClip,
        action: str,
        after: Mapping[str, Any],
        make: Callable[[OnChange], Change],
        **details: Any,
    ) -> HistoryEntry:
        entry = self._entry(clip, action, after, **details)
        return self._clips.history(Path(str(clip.file))).carry_out(entry, make)

    def _entry(self, clip: ReviewClip, action: str, after: Mapping[str, Any], **details: Any) -> HistoryEntry:
        file, before = Path(str(clip.file)), _row_content(clip)
        audio = _relative(without_neighbours(clip.audio), file) if clip.there else clip.audio
        return HistoryEntry(action, file.name, clip.line, audio, before, after, **details)

    def _refresh(self, clip: ReviewClip) -> None:
        mark_clips(self._clips, self._digests, [clip])
        if clip.file in self._clips.tables:
            lines = [record.line for record in self._clips.tables[clip.file].records]
            for table_clip, line in zip(self._clips.rows(clip.file), lines, strict=True):
                table_clip.line = line

    def _number(self, recording: Path) -> int:
        path = normal_name(recording)
        return next((clip.number for clip in self._clips.listed if normal_name(clip.audio) == path), 0)


def _row_content(clip: ReviewClip) -> dict[str, str]:
    return {"text": clip.text, "red_flags": clip.flags} if clip.flags else {"text": clip.text}


def _relative(path: str | Path, file: Path) -> str:
    return os.path.relpath(path, file.parent)
