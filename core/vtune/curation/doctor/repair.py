"""One row of a repaired copy: cleaned words, a safe name, and its sound without offset, silence and uneven level."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vtune import audio
from vtune.curation.doctor.measure import BLOCK
from vtune.curation.doctor.recordings import Listener
from vtune.curation.doctor.spectra import Spectra
from vtune.curation.doctor.speech_levels import find_speech
from vtune.curation.doctor.text_checks import HIDDEN
from vtune.curation.doctor.thresholds import OFFSET, SHORTEST
from vtune.dataset import Row
from vtune.dataset.sources.plain_text import unfit_words
from vtune.types import Audio, Waveform

LEVEL = -20.0
"""dBFS of speech that clips are brought to, as ``vtune prepare`` does."""

NEAR = 0.5
"""dB from it that are left as they are."""

PAD = 0.1
"""Seconds kept before the first word and behind the last."""

SAFE = re.compile(r"[^A-Za-z0-9_-]+")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of one row.

    :param reason: why it is left out, if so; ``kind`` the same without names.
    :param done: what was done to it.
    """

    row: Row
    name: str
    text: str
    reason: str | None = None
    kind: str = ""
    done: list[str] = field(default_factory=list)


def plan_rows(
    rows: Iterable[Row],
    again: set[tuple[str | None, int | None, str | None]],
    unheard: Mapping[str | None, str],
    *,
    has_words: bool,
) -> Iterator[Plan]:
    """Decide for every row: its words, its new name, or why it is left out.

    :param again: rows whose sound and words stand before, as ``(file, line, audio)``.
    :param unheard: recordings that cannot be used, with the reason.
    """
    taken: set[str] = set()
    for row in rows:
        text = clean(row.text)
        reason, kind = _unfit(row, text, again, unheard, has_words=has_words)
        if reason is not None:
            yield Plan(row, "", text, reason, kind)
            continue
        stem = os.path.splitext(os.path.basename(row.audio))[0]
        name = safe_name(stem, taken)
        done = (["words cleaned"] if text != row.text else []) + (["name made safe"] if name != stem else [])
        yield Plan(row, name, text, done=done)


def clean(text: str) -> str:
    """Take control, lost and invisible characters out of words, and write letters and accents as one."""
    kept = "".join(" " if unicodedata.category(char) in ("Cc", "Cs") else char for char in HIDDEN.sub("", text))
    return " ".join(unicodedata.normalize("NFC", kept).split())


def safe_name(stem: str, taken: set[str]) -> str:
    """Return a name of plain letters that no other clip has, on no file system; it is then ``taken``."""
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    name = SAFE.sub("_", plain).strip("_-")[:LONGEST_NAME] or "clip"
    name = f"{name}_" if RESERVED.fullmatch(name) else name
    free, number = name, 1
    while free.lower() in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free.lower())
    return free


@dataclass(frozen=True, slots=True)
class Mending:
    """Reads a recording, mends it, and writes it as 16-bit PCM at its own rate."""

    listener: Listener
    folder: str

    def __call__(self, names: tuple[str, str]) -> list[str]:
        """Mend the recording ``names[0]`` into the clip ``names[1]``; return what was done. :raises DataError: no."""
        waveform, rate = self.listener.load(names[0])
        mended, done = mend(waveform, rate)
        audio.write_wav(Path(self.folder) / f"{names[1]}.wav", [Audio(mended, rate)], rate)
        return done


def mend(waveform: Waveform, rate: int) -> tuple[Waveform, list[str]]:
    """Remove the offset, trim silence, and even the level; say which of it was needed."""
    done = []
    offset = float(np.mean(waveform, dtype=np.float64))
    if abs(offset) >= OFFSET:
        done.append("offset removed")
    mended = (waveform - offset).astype(np.float32)
    spectra = Spectra(rate)
    for start in range(0, len(mended), BLOCK):
        spectra.add(mended[start : start + BLOCK])
    spectra.end()
    speech = find_speech(spectra.levels, spectra.bands)
    begin = round((speech.lead - PAD) * rate) if speech.lead > 2 * PAD else 0
    end = len(mended) - (round((speech.tail - PAD) * rate) if speech.tail > 2 * PAD else 0)
    if 0 < end - begin < len(mended) and end - begin >= SHORTEST * rate:
        mended = mended[begin:end]
        done.append("silence trimmed")
    if abs(audio.speech_level(mended, rate) - LEVEL) > NEAR:
        mended = audio.bring_to(mended, rate, LEVEL)
        done.append("level evened")
    return mended, done


def _unfit(
    row: Row,
    text: str,
    again: set[tuple[str | None, int | None, str | None]],
    unheard: Mapping[str | None, str],
    *,
    has_words: bool,
) -> tuple[str | None, str]:
    """Return why a row is left out, and the same without names."""
    if row.audio in unheard or not row.there:
        return unheard.get(row.audio) or row.problem or "not there", "recording missing, unreadable or without speech"
    if (row.file, row.line, row.audio) in again:
        return "its sound and words stand in an earlier row", "there already"
    if not has_words:
        return None, ""
    if row.problem and row.problem != unfit_words(row.text):
        return row.problem, "row broken or recording without words"
    unfit = unfit_words(text)
    return unfit, "no words" if not text else "words lost"
