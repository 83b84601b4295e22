"""List the clips of all sources in one pass: voice, split, and the reason if a clip is not used. No sound is decoded.

The manifest is a file with one JSON line per clip, so memory does not grow with the data and all ranks read the same.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from heapq import nsmallest
from pathlib import Path

from vtune.dataset.features.entry import ManifestEntry
from vtune.dataset.features.rival_words import SettledEntries
from vtune.dataset.features.voice_names import voice_names
from vtune.dataset.sources.detect import open_source
from vtune.dataset.sources.source import Row, Source
from vtune.errors import DataError, printable
from vtune.recipe import Recipe, SourceRecipe
from vtune.recipe.data_sections import MIN_CLIP_SECONDS

logger = logging.getLogger(__name__)

MANIFEST_NAME = "manifest.jsonl"
"""Name of the manifest file, which lies beside the features."""

SAMPLE_CLIPS = 32
"""Hashes of clips that identify the data of a voice."""

MAX_SHOWN_VOICES = 20
"""Voices of a source that a line names."""


def open_sources(recipe: Recipe) -> list[Source]:
    """Open every source of a recipe.

    :raises DataError: a source cannot be opened; the message names it.
    """
    return [open_numbered_source(recipe, index) for index in range(len(recipe.data))]


def open_numbered_source(recipe: Recipe, index: int) -> Source:
    """Open one source of a recipe, by its index in ``data``.

    :raises DataError: the source cannot be opened; the message names it.
    """
    try:
        return open_source(recipe.data[index], recipe.folder)
    except DataError as error:
        raise DataError(f"data.{index}: {error}") from error


def manifest_entries(recipe: Recipe, sources: Sequence[Source | None]) -> Iterator[ManifestEntry]:
    """Yield one entry for every clip that the sources list, usable or not, in the order of the sources.

    :param sources: one for each item of the recipe's ``data``; None leaves the item out.
    """
    entries = SettledEntries()
    for index, source in enumerate(sources):
        if source is not None:
            voices = _speaker_voices(recipe, index, source)
            for row in source.rows():
                entries.add(_manifest_entry(recipe, index, source, row, voices))
    yield from entries


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


def _manifest_entry(recipe: Recipe, index: int, source: Source, row: Row, voices: dict[str, str]) -> ManifestEntry:
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
    split = "validation" if reason is None and in_validation(digest, recipe.held_out_share(index)) else "train"
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

    :raises DataError: folders may be speakers, and the recipe does not say whether they are.
    """
    if recipe.data[index].voice is not None:
        return {}
    if (question := source.speaker_question) is not None:
        raise DataError(f"data.{index}: {question}")
    if not source.has_speakers:
        return {}
    rows_of: Counter[str] = Counter()
    for row in source.rows():
        if row.problem is None:
            rows_of[row.speaker] += 1
    unnamed = rows_of.pop("", 0)
    if unnamed and rows_of:
        logger.warning(
            "data.%d: %s rows name no speaker, while others do; they count as the voice %s",
            index, f"{unnamed:,}", recipe.voice,
        )  # fmt: skip
    if len(rows_of) < 2:
        return {}
    voices = voice_names(rows_of)
    shown = [_voice_of(speaker, voices[speaker], rows) for speaker, rows in rows_of.most_common(MAX_SHOWN_VOICES)]
    hidden = len(rows_of) - len(shown)
    shown += [f"and {hidden:,} more"] if hidden else []
    logger.info("data.%d has %s voices: %s", index, f"{len(rows_of):,}", ", ".join(shown))
    return voices


def _voice_of(speaker: str, voice: str, rows: int) -> str:
    name = "" if voice == speaker else f"speaker {printable(speaker if len(speaker) <= 40 else speaker[:37] + '...')}, "
    return f"{voice} ({name}{rows:,} {'row' if rows == 1 else 'rows'})"
