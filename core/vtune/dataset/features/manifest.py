"""List the clips of all sources in one pass: voice, split, and the reason if a clip is not used. No sound is decoded.

The manifest is a file with one JSON line per clip, so memory does not grow with the data and all ranks read the same.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from hashlib import sha256
from heapq import nsmallest
from pathlib import Path

from vtune.dataset.sources.detect import open_source
from vtune.dataset.sources.scratch import number_of, scratch
from vtune.dataset.sources.source import Row, Source
from vtune.errors import DataError
from vtune.recipe import Recipe, SourceRecipe
from vtune.recipe.model import VOICE_NAME

logger = logging.getLogger(__name__)

MANIFEST_NAME = "manifest.jsonl"
"""Name of the manifest file, which lies beside the features."""

SAMPLE_CLIPS = 32
"""Hashes of clips that identify the data of a voice."""

MIN_CLIP_SECONDS = 0.5
"""Seconds of the shortest clip that is used when the recipe sets no ``prepare.min_seconds``."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One clip in the manifest.

    :param source: index of its source in the recipe's ``data``.
    :param split: ``train`` or ``validation``.
    :param reason: why the clip is not used; None for a usable clip.
    """

    source: int
    file: str
    line: int | None
    audio: str
    text: str
    voice: str
    seconds: float
    digest: str
    split: str
    reason: str | None = None


def open_sources(recipe: Recipe) -> list[Source]:
    """Open every source of a recipe.

    :raises DataError: a source cannot be opened; the message names it.
    """
    opened = []
    for index, source in enumerate(recipe.data):
        try:
            opened.append(open_source(source, recipe.folder))
        except DataError as error:
            raise DataError(f"data.{index}: {error}") from error
    return opened


def manifest_entries(recipe: Recipe, sources: Sequence[Source]) -> Iterator[ManifestEntry]:
    """Yield one entry for every clip that the sources list, usable or not, in the order of the sources."""
    first_rows = _FirstRows()
    for index, source in enumerate(sources):
        voices = _speaker_voices(recipe, index, source)
        for row in source.rows():
            yield _manifest_entry(recipe, index, source, row, voices, first_rows)


def write_manifest(path: Path, entries: Iterator[ManifestEntry]) -> None:
    """Write a manifest; an interrupted write leaves the former file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        # A file name need not be valid text; such bytes are escaped, and JSON returns them unchanged.
        with partial.open("w", encoding="utf-8", errors="backslashreplace") as file:
            for entry in entries:
                file.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_manifest(path: Path) -> Iterator[ManifestEntry]:
    """Yield the entries of a manifest that ``write_manifest`` wrote."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield ManifestEntry(**json.loads(line))


def clip_fingerprint_sample(path: Path, voice: str) -> list[str]:
    """Return the 32 smallest hashes of a voice's usable clips, 16 hexadecimal digits each.

    Two overlapping sets of clips share some of these hashes, even if one set is many times larger than the other.
    """
    clips = (entry for entry in read_manifest(path) if entry.reason is None and entry.voice == voice)
    return nsmallest(SAMPLE_CLIPS, {entry.digest[:16] for entry in clips})


def in_validation(digest: str, share: float) -> bool:
    """Tell whether a clip is held out for validation.

    Only the hash of the recording decides, so adding clips never moves another clip to the other split.
    """
    position = int.from_bytes(sha256(f"validation:{digest}".encode()).digest()[:8], "big")
    return position < share * 2**64


class _FirstRows:
    """Remembers the first row of each combination of recording, voice and words."""

    def __init__(self) -> None:
        self._tables = scratch(
            self,
            "CREATE TABLE seen (identity BLOB PRIMARY KEY, file INTEGER, line INTEGER) WITHOUT ROWID;"
            "CREATE TABLE files (id INTEGER PRIMARY KEY, key TEXT UNIQUE)",
        )
        self._file_id = lru_cache(maxsize=4096)(partial(number_of, self._tables, "files"))

    def find_earlier(self, identity: bytes, row: Row) -> str | None:
        """Return ``file:line`` of an earlier row with the same identity, or None if this row is the first."""
        values = (identity, self._file_id(row.file.encode("utf-8", "replace").decode()), row.line)
        if self._tables.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", values).rowcount:
            return None
        query = "SELECT key, line FROM seen JOIN files ON files.id = seen.file WHERE identity = ?"
        location = self._tables.execute(query, (identity,)).fetchone()
        return ":".join(str(part) for part in location if part is not None)


def _manifest_entry(
    recipe: Recipe, index: int, source: Source, row: Row, voices: dict[str, str], first_rows: _FirstRows
) -> ManifestEntry:
    voice, reason = voices.get(row.speaker, recipe.data[index].voice or recipe.voice), row.problem
    seconds, digest = 0.0, ""
    try:
        # An unusable recording still has a length: the totals must say how much speech is left out.
        if row.there:
            seconds = source.seconds(row.audio)
        if reason is None:
            digest = source.digest(row.audio)
            reason = _length_problem(recipe, seconds) or _flags_problem(recipe.data[index], row)
    except (DataError, OSError) as error:
        reason = reason or str(error)
    if reason is None:
        earlier = first_rows.find_earlier(sha256(f"{digest}\n{voice}\n{row.text}".encode()).digest()[:16], row)
        reason = f"the same recording and words as {earlier}" if earlier else None
    split = "validation" if reason is None and in_validation(digest, recipe.train.validation) else "train"
    return ManifestEntry(
        index, row.file, row.line, row.audio, row.text, voice, round(seconds, 4), digest, split, reason
    )


def _length_problem(recipe: Recipe, seconds: float) -> str | None:
    low, high = recipe.prepare.min_seconds, recipe.prepare.max_seconds
    low = MIN_CLIP_SECONDS if low is None else low
    seconds = round(seconds, 2)  # as in the message, so that a clip of 3.00 s is not called shorter than 3 s
    if seconds < low:
        return f"{seconds:.2f} s is shorter than prepare.min_seconds {low:g}"
    if high is not None and seconds > high:
        return f"{seconds:.2f} s is longer than prepare.max_seconds {high:g}"
    return None


def _flags_problem(source: SourceRecipe, row: Row) -> str | None:
    if not row.red_flags or source.flagged == "use":
        return None
    return f"doubtful words ({row.red_flags[:120]}); listen and approve them (vtune review), or set flagged: use"


def _speaker_voices(recipe: Recipe, index: int, source: Source) -> dict[str, str]:
    """Map the speakers of a source to voices; the map is empty if all clips belong to one voice.

    :raises DataError: the name of a speaker is not a valid name for a voice.
    """
    if recipe.data[index].voice is not None:
        return {}
    if (question := source.speaker_question) is not None:
        raise DataError(f"data.{index}: {question}")
    if not source.has_speakers:
        return {}
    first_row_of: dict[str, Row] = {}
    for row in source.rows():
        if row.problem is None and row.speaker:
            first_row_of.setdefault(row.speaker, row)
    if len(first_row_of) < 2:
        return {}
    for speaker, row in first_row_of.items():
        if not re.match(VOICE_NAME, speaker):
            raise DataError(
                f"{row.file}:{row.line}: speaker {speaker[:60]!r} cannot name a voice (use letters, digits, '-', '_'); "
                f"rename the speaker, or set 'voice:' for data.{index}"
            )
    logger.info("data.%d has %d voices: %s", index, len(first_row_of), ", ".join(sorted(first_row_of)))
    return {speaker: speaker for speaker in first_row_of}
