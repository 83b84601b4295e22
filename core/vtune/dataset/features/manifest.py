"""One pass over the sources: what each clip is, whose, which split, and which cannot be used; nothing is decoded.

The result is a file, one JSON line a clip, so that memory does not grow with the data and every rank reads the same.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from heapq import nsmallest
from pathlib import Path

from vtune.dataset.sources.detect import open_source
from vtune.dataset.sources.scratch import scratch
from vtune.dataset.sources.source import Row, Source
from vtune.errors import DataError
from vtune.recipe import Recipe, SourceRecipe
from vtune.recipe.model import VOICE_NAME

logger = logging.getLogger(__name__)

SURVEY = "survey.jsonl"
"""Name of the file, beside the features."""

SAMPLE = 32
"""Clips of a voice that it is known by."""

LEAST = 0.5
"""Seconds of a clip, where the recipe says nothing."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One clip of the survey. ``reason`` says why it is not used; ``split`` is ``train`` or ``validation``."""

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
    """Open every source of a recipe. :raises DataError: one cannot be opened; says which."""
    opened = []
    for place, source in enumerate(recipe.data):
        try:
            opened.append(open_source(source, recipe.folder))
        except DataError as error:
            raise DataError(f"data.{place}: {error}") from error
    return opened


def survey(recipe: Recipe, sources: Sequence[Source]) -> Iterator[ManifestEntry]:
    """Yield every clip that the sources list, usable or not, in their order."""
    seen = _Seen()
    for place, source in enumerate(sources):
        voices = _voices(recipe, place, source)
        for row in source.rows():
            yield _item(recipe, place, source, row, voices, seen)


def write_survey(path: Path, items: Iterator[ManifestEntry]) -> None:
    """Write a survey, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    try:
        # File names need not be text; what is none is escaped, and comes back from JSON as it was.
        with aside.open("w", encoding="utf-8", errors="backslashreplace") as file:
            for item in items:
                file.write(json.dumps(asdict(item), ensure_ascii=False) + "\n")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def read_survey(path: Path) -> Iterator[ManifestEntry]:
    """Yield what ``write_survey`` wrote."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield ManifestEntry(**json.loads(line))


def clip_sample(path: Path, voice: str) -> list[str]:
    """Return the smallest hashes of a voice's clips in a survey.

    Two sets of clips that overlap share some of these, also where one is many times the other.
    """
    clips = (item for item in read_survey(path) if item.reason is None and item.voice == voice)
    return nsmallest(SAMPLE, {item.digest[:16] for item in clips})


def in_validation(digest: str, share: float) -> bool:
    """Whether a clip is kept for validation: by the hash of its sound alone, so adding clips moves no other."""
    place = int.from_bytes(sha256(f"validation:{digest}".encode()).digest()[:8], "big")
    return place < share * 2**64


class _Seen:
    """Remembers where each recording stood first with the same words."""

    def __init__(self) -> None:
        schema = "CREATE TABLE seen (identity BLOB PRIMARY KEY, file TEXT, line INTEGER) WITHOUT ROWID"
        self._tables = scratch(self, schema)

    def before(self, identity: bytes, row: Row) -> str | None:
        """Return the place of an earlier row that is the same; else this is the first."""
        file = row.file.encode("utf-8", "replace").decode()
        values = (identity, file, row.line)
        if self._tables.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", values).rowcount:
            return None
        found = self._tables.execute("SELECT file, line FROM seen WHERE identity = ?", (identity,)).fetchone()
        return ":".join(str(part) for part in found if part is not None)


def _item(recipe: Recipe, place: int, source: Source, row: Row, voices: dict[str, str], seen: _Seen) -> ManifestEntry:
    voice, reason = voices.get(row.speaker, recipe.data[place].voice or recipe.voice), row.problem
    seconds, digest = 0.0, ""
    try:
        # A recording that cannot be used still has a length: the totals shall say how much speech is left out.
        if row.there:
            seconds = source.seconds(row.audio)
        if reason is None:
            digest = source.digest(row.audio)
            reason = _unfit(recipe, seconds) or _doubtful(recipe.data[place], row)
    except (DataError, OSError) as error:
        reason = reason or str(error)
    if reason is None:
        first = seen.before(sha256(f"{digest}\n{voice}\n{row.text}".encode()).digest()[:16], row)
        reason = f"the same recording and words as {first}" if first else None
    split = "validation" if reason is None and in_validation(digest, recipe.train.validation) else "train"
    return ManifestEntry(
        place, row.file, row.line, row.audio, row.text, voice, round(seconds, 4), digest, split, reason
    )


def _unfit(recipe: Recipe, seconds: float) -> str | None:
    low, high = recipe.prepare.min_seconds, recipe.prepare.max_seconds
    low = LEAST if low is None else low
    seconds = round(seconds, 2)  # as it is said, so that a clip of 3.00 s is not less than 3
    if seconds < low:
        return f"{seconds:.2f} s, less than prepare.min_seconds {low:g}"
    if high is not None and seconds > high:
        return f"{seconds:.2f} s, more than prepare.max_seconds {high:g}"
    return None


def _doubtful(source: SourceRecipe, row: Row) -> str | None:
    if not row.red_flags or source.flagged == "use":
        return None
    return f"words in doubt ({row.red_flags[:120]}); listen and approve it (vtune review), or set flagged: use"


def _voices(recipe: Recipe, place: int, source: Source) -> dict[str, str]:
    """Map the speakers of a source to voices; empty where all clips are one voice.

    :raises DataError: a speaker's name cannot be a voice's.
    """
    if recipe.data[place].voice is not None or not source.has_speakers:
        return {}
    first: dict[str, Row] = {}
    for row in source.rows():
        if row.problem is None and row.speaker:
            first.setdefault(row.speaker, row)
    if len(first) < 2:
        return {}
    for speaker, row in first.items():
        if not re.match(VOICE_NAME, speaker):
            raise DataError(
                f"{row.file}:{row.line}: speaker {speaker[:60]!r} cannot name a voice (letters, digits, '-', '_'); "
                f"rename it, or give data.{place} one 'voice:'"
            )
    logger.info("data.%d: %d voices: %s", place, len(first), ", ".join(sorted(first)))
    return {speaker: speaker for speaker in first}
