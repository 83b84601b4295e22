"""The usual source: recordings in a folder, words in tables or text files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path

from vtune import audio
from vtune.audio.parts import OUTWARD_SECONDS, RecordingPart
from vtune.dataset.sources.fragments import clip_digest, clip_rate, clip_seconds, fragment_name, read_clip
from vtune.dataset.sources.part_index import PartIndex
from vtune.dataset.sources.recordings import Recordings
from vtune.dataset.sources.sidecars import Sidecar, other_microphone, sidecar_of
from vtune.dataset.sources.source import Row
from vtune.dataset.sources.speaker_folders import SpeakerFolders, divide_by_folders
from vtune.dataset.sources.table import Table, TableRecord
from vtune.dataset.sources.word_files import WordEvidence, word_files
from vtune.errors import DataError, printable
from vtune.types import Waveform

MAX_DESCRIBED_TABLES = 20
"""Tables that a run lists; LibriSpeech has thousands."""

MIN_ROWS_OF_ONE_RECORDING = 3
"""Rows from which a table of one recording without times was not understood; two may be two readings of the words."""

SHOWN_NAMES = 4
"""Files that a line names."""

SAMPLED_RECORDINGS = 50
"""Recordings whose texts are looked at to tell what a folder holds."""


class FolderSource:
    """Recordings in a folder, with words in tables or in a text file beside each recording.

    :param lists_unnamed: recordings that no table names are rows too.
    """

    def __init__(
        self, root: Path, tables: list[Table], *, lists_unnamed: bool, speaker_folders: bool | None = None
    ) -> None:
        self._root = root
        self._tables = tables
        self._lists_unnamed = lists_unnamed
        self._recordings = Recordings(root)
        self._parts = PartIndex()
        self._folders_choice = speaker_folders
        self._names_speakers = any(table.has_speakers for table in tables)

    @cached_property
    def description(self) -> list[str]:
        """A line for each table, or one about the texts; then folders of speakers, and files that are not read."""
        lines = _describe(self._tables, self._root) if self._tables else self._describe_sidecars()
        if self._folders is not None and (self._folders.are_speakers or self.speaker_question):
            role = "the speakers" if self._folders.are_speakers else "perhaps the speakers"
            lines.append(f"the folders of the recordings are {role}: {self._folders.listed()}")
        unread = self._unread_files() if self._lists_unnamed else []
        return [*lines, *([f"not read, although lines name recordings: {shortly(unread)}"] if unread else [])]

    @cached_property
    def has_speakers(self) -> bool:
        """Whether a table, a text's layout or the folders name speakers."""
        if self._names_speakers or (self._folders is not None and bool(self._folders.are_speakers)):
            return True
        return not self._tables and any(sidecar and sidecar.speaker for _, sidecar in self._first_sidecars())

    @property
    def speaker_question(self) -> str | None:
        """The question whether the folders of the recordings are speakers; None where something answers it."""
        if self.has_speakers or self._folders is None:
            return None
        return (
            f"the folders {self._folders.listed()} divide the recordings, and nothing names the speakers: set "
            "'speaker_folders: true' if each folder is another speaker, 'speaker_folders: false' if all are one"
        )

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the tables, then the recordings that no row names.

        :raises DataError: a table was misunderstood: it has no header and names no recording at all, or all its rows
            name one recording without times.
        """
        self._recordings.forget_names()
        self._find_parts()
        if not self._tables:
            yield from self._sidecars()
            return
        for table in self._tables:
            yield from self._listed(table)
        if self._lists_unnamed and all(table.of_one_recording for table in self._tables):
            yield from self._sidecars()
            yield from self._unnamed_parts("no row names this part of the recording")
        elif self._lists_unnamed:
            names = [table.path.name for table in self._tables]
            tables = " or ".join(names[:3]) + (f" or {len(names) - 3} more" if len(names) > 3 else "")
            for path, problem in self._recordings.rest():
                reason = problem or f"no row of {tables} names it"
                yield Row(path, None, path, "", "", reason, there=problem is None)
            yield from self._unnamed_parts(f"no row of {tables} names this part of the recording")

    def seconds(self, name: str) -> float:
        """Return the seconds of a recording or a part."""
        return clip_seconds(name)

    def rate(self, name: str) -> int:
        """Return the sample rate of a recording in Hz."""
        return clip_rate(name)

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a file, or the hash of a part."""
        return clip_digest(name)

    def load(self, name: str, sample_rate: int) -> Waveform:
        """Read a recording or a part."""
        return read_clip(name, sample_rate)[0]

    def _listed(self, table: Table) -> Iterator[Row]:
        first, any_there, rows_of, parts, last_text = None, False, Counter[str](), 0, ""
        for record in table.records():
            path, problem = "", record.problem
            if record.audio:
                path, lost = self._recordings.find(record.audio, table.path.parent)
                problem = problem or lost
            if path:
                self._recordings.name(path)
            first, any_there, name = first or record, any_there or bool(path), path or record.audio
            part = self._part(path, record) if path else None
            if part is not None:
                name = fragment_name(path, part)
                parts += 1
            elif path and not problem and len(rows_of) < 2 and record.text != last_text:
                rows_of[path] += 1
                last_text = record.text
            yield Row(
                str(table.path), record.line, name, record.text, record.speaker or self._folder_speaker(path), problem,
                there=bool(path), red_flags=record.red_flags,
            )  # fmt: skip
        if first and table.names_are_guessed and not any_there:
            raise DataError(
                f"{table.path} has no header that is understood, and cell 1 names no recording in any row "
                f"(the first says {first.audio[:40]!r}); begin it with a line that names columns, like filename,text"
            )
        recording, rows = rows_of.most_common(1)[0] if len(rows_of) == 1 and not parts else ("", 0)
        if rows >= MIN_ROWS_OF_ONE_RECORDING:
            raise DataError(
                f"all {rows:,} rows of {table.path} name the recording {recording}, and no column says which part of "
                "the recording each row is; add the columns start,end in seconds"
            )

    def _part(self, path: str, record: TableRecord) -> RecordingPart | None:
        """Return the part of a recording that a row is; None if the row is the whole recording."""
        if record.start is None or _is_as_long(path, record):
            return None
        part = self._parts.part(path, record.start, record.end)
        return None if part.start == 0 and part.end is None else part

    def _find_parts(self) -> None:
        """Collect the parts that rows name, so that each part knows its neighbours."""
        self._parts.clear()
        for table in self._tables:
            for record in table.records() if table.has_times else ():
                if record.start is not None and record.start != record.end and record.audio:
                    path, _ = self._recordings.find(record.audio, table.path.parent)
                    if path and not _is_as_long(path, record):
                        self._parts.add(path, record.start, record.end)
        self._parts.complete()

    def _unnamed_parts(self, reason: str) -> Iterator[Row]:
        for path in self._parts.recordings():
            try:
                _, seconds = audio.header_of(Path(path))
            except DataError:
                continue  # each row of the recording has this as its reason
            for start, end in self._parts.gaps(path, seconds):
                name = fragment_name(path, RecordingPart(start, end))
                yield Row(path, None, name, "", "", reason)

    def _sidecars(self) -> Iterator[Row]:
        for path, problem in self._recordings.rest():
            recording = Path(path)
            sidecar = sidecar_of(recording)
            if problem or sidecar is None:
                reason = problem or "no table names it and no .txt or .lab lies beside it"
                yield Row(path, None, path, "", self._folder_speaker(path), reason, there=problem is None)
                continue
            speaker = sidecar.speaker or self._folder_speaker(path)
            if (twin := other_microphone(recording, sidecar)) is not None:
                problem = f"the same words as {twin.name}, from another microphone; one microphone is used"
                yield Row(path, None, path, "", speaker, problem)
                continue
            try:
                words, problem = sidecar.read()
            except DataError as error:
                words, problem = "", str(error)
            yield Row(str(sidecar.path), 1, path, words, speaker, problem)

    def _first_sidecars(self) -> list[tuple[str, Sidecar | None]]:
        """Return the first recordings with their texts: enough to tell what the folder holds."""
        usable = (path for path, problem in self._recordings.rest() if problem is None)
        return [(path, sidecar_of(Path(path))) for path in islice(usable, SAMPLED_RECORDINGS)]

    def _describe_sidecars(self) -> list[str]:
        texts = [(Path(path), sidecar) for path, sidecar in self._first_sidecars() if sidecar is not None]
        is_beside = all(sidecar.path.parent == path.parent for path, sidecar in texts)
        lines = [
            "a text file beside each recording" if is_beside else "a text file for each recording, in another folder"
        ]
        several = next((sidecar for _, sidecar in texts if sidecar.unused), None)
        if several is not None:
            lines.append(
                f"{several.path.name} is read, {shortly([path.name for path in several.unused])} is not; so for others"
            )
        if any(sidecar.microphone for _, sidecar in texts):
            lines.append("several microphones recorded the same words: the first is used, the others are left out")
        return lines

    def _unread_files(self) -> list[str]:
        """Return the names of files with words that no table of this source is."""
        tables = {os.path.realpath(table.path) for table in self._tables}
        return [
            os.path.relpath(file.path, self._root)
            for file in word_files(self._recordings, sidecars_are_read=True)
            if file.evidence == WordEvidence.NAMES_RECORDINGS and os.path.realpath(file.path) not in tables
        ]

    @cached_property
    def _folders(self) -> SpeakerFolders | None:
        if self._names_speakers:
            return None
        counts = self._recordings.counts_of_folders() if self._lists_unnamed else self._counts_of_named_folders()
        return divide_by_folders(counts, self._folders_choice)

    def _counts_of_named_folders(self) -> dict[str, int]:
        """Return the recordings in each folder that the tables name; one name of each folder is looked up."""
        counts, places = Counter[str](), dict[tuple[Path, str], str]()
        for table in self._tables:
            for record in table.records():
                part = record.audio.replace("\\", "/").rpartition("/")[0]
                key = (table.path.parent, part)
                if part and key not in places:
                    path, _ = self._recordings.find(record.audio, table.path.parent)
                    places[key] = os.path.realpath(os.path.dirname(path)) if path else ""
                if places.get(key):
                    counts[places[key]] += 1
        return dict(counts)

    def _folder_speaker(self, path: str) -> str:
        """Return the speaker whose folder holds a recording; an empty text where folders are no speakers."""
        if not path or self._folders is None or not self._folders.are_speakers:
            return ""
        return self._folders.speaker_of.get(os.path.realpath(os.path.dirname(path)), "")


class RawFolder(FolderSource):
    """Recordings without words, or whose words the recipe ignores: a file, or all recordings in a folder."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, [], lists_unnamed=True)

    @cached_property
    def description(self) -> list[str]:
        """Say that there are no words, and name files that may hold some."""
        files = [file.describe(self._root) for file in word_files(self._recordings)]
        return ["recordings without words", *([f"not read: {shortly(files)}"] if files else [])]

    @property
    def has_speakers(self) -> bool:
        """Whether rows may name a speaker; none does."""
        return False

    def rows(self) -> Iterator[Row]:
        """Yield every recording, with the reason why it cannot be used yet."""
        for path, problem in self._recordings.rest():
            yield Row(path, None, path, "", "", problem or "it has no words yet", there=problem is None)


def shortly(names: list[str]) -> str:
    """Join the first names for a message, and count the others."""
    more = len(names) - SHOWN_NAMES
    return ", ".join(printable(name) for name in names[:SHOWN_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def _describe(tables: list[Table], root: Path) -> list[str]:
    """Return one line a table, of the first tables; tables of one name get their folders."""
    counts = Counter(table.path.name for table in tables)
    lines = [
        table.describe()
        if counts[table.path.name] == 1
        else os.path.join(os.path.relpath(table.path.parent, root), table.describe())
        for table in tables[:MAX_DESCRIBED_TABLES]
    ]
    left = len(tables) - len(lines)
    return [*lines, f"and {left:,} more tables"] if left else lines


def _is_as_long(path: str, record: TableRecord) -> bool:
    """Tell whether a row's times span as many seconds as its recording has: then they are times in another file.

    Tables of clips often say where in a longer recording each clip was cut out.
    """
    if record.start is None or record.end is None:
        return False
    try:
        _, seconds = audio.header_of(Path(path))
    except DataError:
        return False  # reading the part gives the reason
    return abs(record.end - record.start - seconds) <= OUTWARD_SECONDS
