"""Repair one row: clean its words, make its name safe, remove offset and silence, and adjust the level."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vtune import audio
from vtune.curation.doctor.measure import BLOCK_SAMPLES
from vtune.curation.doctor.recording_openers import RecordingOpener
from vtune.curation.doctor.spectra import Spectra
from vtune.curation.doctor.speech_levels import find_speech
from vtune.curation.doctor.text_checks import INVISIBLE_PATTERN
from vtune.curation.doctor.thresholds import MAX_OFFSET
from vtune.dataset import Row
from vtune.dataset.sources.fragments import clip_stem
from vtune.dataset.sources.plain_text import unfit_words
from vtune.recipe.data_sections import MIN_CLIP_SECONDS
from vtune.types import Audio, Waveform

TARGET_SPEECH_DBFS = -20.0
"""Level of the speech in repaired clips, the same as in ``vtune prepare``."""

LEVEL_TOLERANCE_DB = 0.5
"""Difference from the target level up to which a clip is left unchanged."""

EDGE_PAD_SECONDS = 0.1
"""Seconds kept before the first word and after the last word."""

UNSAFE_PATTERN = re.compile(r"[^A-Za-z0-9_-]+")
RESERVED_PATTERN = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
MAX_NAME_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """The plan for one row.

    :param name: name of the clip in the copy.
    :param text: the cleaned words.
    :param reason: why the row is left out; None if it is kept.
    :param kind: the reason without names, for counting.
    :param steps: the repairs of this row.
    """

    row: Row
    name: str
    text: str
    reason: str | None = None
    kind: str = ""
    steps: list[str] = field(default_factory=list)


def plan_rows(
    rows: Iterable[Row],
    duplicates: set[tuple[str | None, int | None, str | None]],
    unusable: Mapping[str | None, str],
    *,
    has_words: bool,
) -> Iterator[RepairPlan]:
    """Yield the plan for every row: its words and its new name, or the reason why it is left out.

    :param duplicates: rows with the sound and words of an earlier row, as ``(file, line, audio)``.
    :param unusable: recordings that cannot be used, with the reason.
    """
    used_names: set[str] = set()
    for row in rows:
        text = clean_text(row.text)
        reason, kind = _left_out_reason(row, text, duplicates, unusable, has_words=has_words)
        if reason is not None:
            yield RepairPlan(row, "", text, reason, kind)
            continue
        stem = clip_stem(row.audio)
        name = safe_name(stem, used_names)
        steps = (["words cleaned"] if text != row.text else []) + (["name made safe"] if name != stem else [])
        yield RepairPlan(row, name, text, steps=steps)


def clean_text(text: str) -> str:
    """Return words without control, lost and invisible characters, with accents composed (NFC) and single spaces."""
    kept = "".join(
        " " if unicodedata.category(char) in ("Cc", "Cs") else char for char in INVISIBLE_PATTERN.sub("", text)
    )
    return " ".join(unicodedata.normalize("NFC", kept).split())


def safe_name(stem: str, used_names: set[str]) -> str:
    """Return a unique name in plain letters that is safe on every file system, and add it to ``used_names``.

    Example: ``"Café (1)"`` becomes ``"Cafe_1"``.
    """
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    name = UNSAFE_PATTERN.sub("_", plain).strip("_-")[:MAX_NAME_CHARACTERS] or "clip"
    name = f"{name}_" if RESERVED_PATTERN.fullmatch(name) else name
    unique, number = name, 1
    while unique.lower() in used_names:
        number += 1
        unique = f"{name}_{number}"
    used_names.add(unique.lower())
    return unique


@dataclass(frozen=True, slots=True)
class RecordingRepairer:
    """Reads a recording, repairs it, and writes it as 16-bit PCM at its own sample rate."""

    listener: RecordingOpener
    folder: str

    def __call__(self, names: tuple[str, str]) -> list[str]:
        """Repair the recording ``names[0]``, write the clip ``names[1]``, and return the repairs.

        :raises DataError: the recording cannot be read.
        """
        waveform, rate = self.listener.load(names[0])
        repaired, steps = repair_sound(waveform, rate)
        audio.write_wav(Path(self.folder) / f"{names[1]}.wav", [Audio(repaired, rate)], rate)
        return steps


def repair_sound(waveform: Waveform, rate: int) -> tuple[Waveform, list[str]]:
    """Remove the offset, trim silence, and adjust the level; return the sound and the repairs that were needed."""
    steps = []
    offset = float(np.mean(waveform, dtype=np.float64))
    if abs(offset) >= MAX_OFFSET:
        steps.append("offset removed")
    repaired = (waveform - offset).astype(np.float32)
    spectra = Spectra(rate)
    for start in range(0, len(repaired), BLOCK_SAMPLES):
        spectra.add(repaired[start : start + BLOCK_SAMPLES])
    spectra.end()
    speech = find_speech(spectra.levels, spectra.bands)
    begin = round((speech.lead - EDGE_PAD_SECONDS) * rate) if speech.lead > 2 * EDGE_PAD_SECONDS else 0
    end = len(repaired) - (round((speech.tail - EDGE_PAD_SECONDS) * rate) if speech.tail > 2 * EDGE_PAD_SECONDS else 0)
    if 0 < end - begin < len(repaired) and end - begin >= MIN_CLIP_SECONDS * rate:
        repaired = repaired[begin:end]
        steps.append("silence trimmed")
    if abs(audio.speech_level(repaired, rate) - TARGET_SPEECH_DBFS) > LEVEL_TOLERANCE_DB:
        repaired = audio.bring_to(repaired, rate, TARGET_SPEECH_DBFS)
        steps.append("level adjusted")
    return repaired, steps


def _left_out_reason(
    row: Row,
    text: str,
    duplicates: set[tuple[str | None, int | None, str | None]],
    unusable: Mapping[str | None, str],
    *,
    has_words: bool,
) -> tuple[str | None, str]:
    """Return the reason why a row is left out (None if it is kept), and the kind of the reason."""
    if row.audio in unusable or not row.there:
        reason = unusable.get(row.audio) or row.problem or "the recording does not exist"
        return reason, "recording missing, unreadable or without speech"
    if (row.file, row.line, row.audio) in duplicates:
        return "an earlier row has the same sound and words", "duplicate of an earlier row"
    if not has_words:
        return None, ""
    if row.problem and row.problem != unfit_words(row.text):
        return row.problem, "broken row, or recording without words"
    unfit = unfit_words(text)
    return unfit, "no words" if not text else "words that cannot be trained on"
