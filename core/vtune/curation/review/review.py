"""A review of a source: everything that a listener may do to its clips, each on disk and in the history at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from vtune.curation.review import split as splitting
from vtune.curation.review.approvals import Digests, mark
from vtune.curation.review.clips import Clips, Lengths, Numbers, ReviewClip, read_clips
from vtune.curation.review.history import Entry, undoing
from vtune.curation.review.text_location import Beside, Place, TableRow
from vtune.dataset.editing.edit import Change, OnChange, StaleError, speakable_words
from vtune.dataset.editing.sidecars import EditableSidecar
from vtune.dataset.sources.plain_text import unfit_words
from vtune.errors import DataError
from vtune.runtime.paths import write_text


class Review:
    """The clips of a source under one lock, each called by its number.

    Every method raises ``DataError`` where something cannot be done, and the files are then as they were;
    ``StaleError`` where a file was changed by somebody else since it was read: ``read`` reads it again.
    """

    def __init__(self, data: str) -> None:
        self._data = data
        self._lock = threading.RLock()
        self._numbers, self._lengths, self._digests = Numbers(), Lengths(), Digests()
        self.read()

    def read(self) -> None:
        """Read the source anew; clips keep their numbers."""
        with self._lock:
            clips = read_clips(self._data)
            self._numbers.give(clips.listed)
            self._lengths.fill(clips.listed)
            mark(clips, self._digests, clips.listed)
            self._clips: Clips = clips
            self._by_number = {clip.number: clip for clip in clips.listed}

    def clips(self) -> Clips:
        """Return all clips as they stand now."""
        return self._clips

    def clip(self, number: int) -> ReviewClip:
        """Return one clip. :raises DataError: there is none of this number."""
        with self._lock:
            if number not in self._by_number:
                raise DataError(f"there is no clip {number}")
            return self._by_number[number]

    def set_words(self, number: int, words: str, was: str | None = None) -> None:
        """Change the words of a clip, or give a recording that no row names its first.

        :param was: the words that the listener saw; where they are others by now, nothing is changed.
        """
        with self._lock:
            clip, words = self._seen(number, was), speakable_words(words)
            if clip.state == "unnamed":
                self._add(clip, words)
            elif words != clip.text:
                place = self._place(clip)
                after = {**_said(clip), "text": words}
                self._make(clip, "words", after, lambda on_change: place.set_words(words, on_change))
                clip.problem = None if clip.problem == unfit_words(clip.text) else clip.problem
                clip.text = words
                self._refresh(clip)

    def approve(self, number: int, was: str | None = None) -> None:
        """Approve recording and words as they are; red flags are emptied in the table."""
        with self._lock:
            clip = self._seen(number, was)
            place = self._place(clip)
            if clip.problem is not None or not clip.there:
                raise DataError(f"this clip cannot be approved: {clip.problem}")
            digest = self._digests.of(clip.audio)
            if clip.flags:
                after = {**_said(clip), "red_flags": ""}
                self._make(clip, "approve", after, lambda on_change: place.set_flags("", on_change), digest=digest)
                clip.flags = ""
            elif not clip.approved:
                self._clips.history(place.path).append(self._entry(clip, "approve", _said(clip), digest=digest))
            self._refresh(clip)

    def doubt(self, number: int) -> None:
        """Take an approval back."""
        with self._lock:
            clip = self.clip(number)
            if clip.approved and clip.file is not None:
                digest = self._digests.of(clip.audio)
                self._clips.history(clip.file).append(self._entry(clip, "doubt", _said(clip), digest=digest))
                self._refresh(clip)

    def drop(self, number: int) -> None:
        """Take a clip's row out of its table, or the text beside it away; the recording stays."""
        with self._lock:
            clip = self.clip(number)
            place = self._place(clip)
            kept = sum(other.state == "kept" for other in self._clips.listed)
            if kept == 1 and not clip.in_table:
                raise DataError(f"{clip.file}: the last text stays; delete it by hand if none is wanted")
            clip.dropped = self._make(clip, "drop", {}, place.drop)
            clip.state = "dropped"
            self._refresh(clip)

    def restore(self, number: int) -> None:
        """Put a dropped clip's row, or its text, back to where it stood."""
        with self._lock:
            clip = self.clip(number)
            dropped = clip.dropped
            if dropped is None or dropped.change is None:
                raise DataError("this clip was not dropped")
            place, change = self._place(clip), dropped.change
            self._make(clip, "restore", _said(clip), lambda on_change: place.put_back(change, on_change), of=dropped.id)
            clip.state, clip.dropped = "kept", None
            self._refresh(clip)

    def split(self, number: int, at: float, words: tuple[str, str], was: str | None = None) -> tuple[int, int]:
        """Cut a clip in two near a second; return the numbers of the halves.

        The halves are new recordings beside the old one, which stays on disk, though no row names it any more.
        """
        with self._lock:
            clip = self._seen(number, was)
            place, told, old = self._place(clip), [speakable_words(half) for half in words], Path(clip.audio)
            if not clip.there:
                raise DataError(f"this clip cannot be split: {clip.problem}")
            first, second, cut = splitting.split(old, at)
            halves = list(zip((first, second), told, strict=True))
            texts = place.texts(halves)
            made = {_relative(new, place.path): self._digests.of(str(new)) for new in (first, second)}
            made |= {_relative(path, place.path): sha256(text.encode()).hexdigest() for path, text in texts.items()}

            def make(on_change: OnChange) -> Change:
                def note_and_write(change: Change) -> None:
                    on_change(change)
                    for path, text in texts.items():
                        write_text(path, text)

                return place.split(old, halves, note_and_write)

            try:
                self._make(clip, "split", {"texts": told, "at": round(cut, 4)}, make, made=made)
            except BaseException:
                for path in (first, second, *texts):
                    path.unlink(missing_ok=True)
                raise
            self.read()
            return self._number(first), self._number(second)

    def undo(self) -> int | None:
        """Take the last edit back; return the number of its clip, 0 where there is none, None if nothing was undone."""
        with self._lock:
            standing = self._clips.standing()
            if not standing:
                return None
            history, entry = standing[-1]
            file, change = history.path.parent / entry.file, entry.change
            if change is None:
                history.append(undoing(entry))
            else:
                if file not in self._clips.tables and file.suffix.lower() not in (".txt", ".lab"):
                    raise DataError(f"{file} is no table of {self._data}, so its edit cannot be undone here")
                editable = self._clips.tables.get(file) or EditableSidecar(file)
                history.carry_out(undoing(entry), lambda on_change: editable.undo(change, on_change))
            history.remove_made(entry)
            self.read()
            return self._number(history.path.parent / entry.audio)

    def undoable(self) -> str | None:
        """Say what ``undo`` would take back; None for nothing."""
        with self._lock:
            standing = self._clips.standing()
            return f"{standing[-1][1].action} {os.path.basename(standing[-1][1].audio)}" if standing else None

    def _add(self, clip: ReviewClip, words: str) -> None:
        recording, tables = Path(clip.audio), self._clips.tables
        above = [table for table in tables if recording.is_relative_to(table.parent)]
        if clip.line is None and not os.path.isfile(recording):
            raise DataError(f"this clip has no row: {clip.problem}")
        if tables and not above:
            raise DataError(f"{clip.audio} lies below no table, so it cannot be given words")
        file = max(above, key=lambda table: len(table.parts)) if above else recording.with_suffix(".txt")
        named = replace(clip, file=file, in_table=bool(above), state="kept")
        place, name = self._place(named), os.path.relpath(recording, file.parent)
        self._make(named, "add", {"text": words}, lambda on_change: place.add(name, words, on_change))
        self.read()

    def _seen(self, number: int, was: str | None) -> ReviewClip:
        clip = self.clip(number)
        if was is not None and was != clip.text:
            raise StaleError(f"this clip was changed in another window; it now says: {clip.text}")
        return clip

    def _place(self, clip: ReviewClip) -> Place:
        if clip.file is None:
            raise DataError(f"this clip has no row: {clip.problem}")
        if not clip.in_table:
            return Beside(EditableSidecar(clip.file))
        table = self._clips.tables[clip.file]
        return TableRow(table, self._clips.row_of(clip), self._clips.root)

    def _make(
        self, clip: ReviewClip, action: str, after: Mapping[str, Any], make: Callable[[OnChange], Change], **more: Any
    ) -> Entry:
        entry = self._entry(clip, action, after, **more)
        return self._clips.history(Path(str(clip.file))).carry_out(entry, make)

    def _entry(self, clip: ReviewClip, action: str, after: Mapping[str, Any], **more: Any) -> Entry:
        file, before = Path(str(clip.file)), _said(clip)
        audio = _relative(clip.audio, file) if clip.there else clip.audio
        return Entry(action, file.name, clip.line, audio, before, after, **more)

    def _refresh(self, clip: ReviewClip) -> None:
        mark(self._clips, self._digests, [clip])
        if clip.file in self._clips.tables:
            lines = [record.line for record in self._clips.tables[clip.file].records]
            for other, line in zip(self._clips.rows(clip.file), lines, strict=True):
                other.line = line

    def _number(self, recording: Path) -> int:
        path = os.path.normpath(recording)
        return next((clip.number for clip in self._clips.listed if os.path.normpath(clip.audio) == path), 0)


def _said(clip: ReviewClip) -> dict[str, str]:
    return {"text": clip.text, "red_flags": clip.flags} if clip.flags else {"text": clip.text}


def _relative(path: str | Path, file: Path) -> str:
    return os.path.relpath(path, file.parent)
