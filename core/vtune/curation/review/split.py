"""Cut one recording into two new ones at the quietest moment near the place that was asked for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from vtune import audio
from vtune.dataset.sources.recordings import Recordings
from vtune.errors import DataError
from vtune.types import Audio, Waveform

WINDOW = 0.02
"""Seconds that are quietest together where the cut falls."""

AROUND = 0.1
"""Seconds to either side of the place asked for."""

SHORTEST = 0.1
"""Seconds of each half, at least."""


def quietest(waveform: Waveform, rate: int, near: float) -> int:
    """Return the sample in the middle of the quietest 20 ms within 0.1 s of ``near`` seconds.

    :raises DataError: a half would be shorter than 0.1 s.
    """
    least = round(SHORTEST * rate)
    first = max(round((near - AROUND) * rate), least)
    last = min(round((near + AROUND) * rate), len(waveform) - least)
    if not least <= near * rate <= len(waveform) - least:
        raise DataError(
            f"cannot be cut at {near:.2f} s: each half needs {SHORTEST:g} s, "
            f"and the recording has {len(waveform) / rate:.2f} s"
        )
    half = max(1, round(WINDOW * rate / 2))
    # A cut at sample n is as loud as the samples n - half to n + half.
    start = max(0, first - half)
    piece = waveform[start : last + half].astype(np.float64)
    power = np.concatenate([[0.0], np.cumsum(piece**2)])
    cuts = np.arange(first, last + 1)
    low, high = np.maximum(cuts - half - start, 0), np.minimum(cuts + half - start, len(piece))
    loudness = (power[high] - power[low]) / (high - low)
    # Among equals (digital silence) the nearest to the place asked for.
    return int(cuts[np.lexsort((np.abs(cuts - near * rate), np.round(loudness, 15)))[0]])


def split(recording: Path, near: float) -> tuple[Path, Path, float]:
    """Write the halves as new WAV files beside the recording; return them and the second of the cut.

    :raises DataError: it cannot be read, or a half would be too short.
    """
    waveform, rate = audio.recorded(recording)
    try:
        cut = quietest(waveform, rate, near)
    except DataError as error:
        raise DataError(f"{recording} {error}") from error
    first, second = _free_names(recording)
    audio.write_wav(first, [Audio(waveform[:cut], rate)], rate)
    audio.write_wav(second, [Audio(waveform[cut:], rate)], rate)
    return first, second, cut / rate


def name_of(new: Path, old: Path, told: str, table: Path, root: Path) -> str:
    """Return what a table calls a new recording, in the manner that it called the old one.

    :param told: the old one's name in the table.
    :param root: the folder that recordings are looked for in.
    """
    head, slash, last = told.replace("\\", "/").rpartition("/")
    ended = last.lower().endswith(old.suffix.lower())
    name = head + slash + (new.name if ended else new.stem)
    found, _ = Recordings(root).find(name, table.parent)
    return name if found and os.path.samefile(found, new) else os.path.relpath(new, table.parent)


def _free_names(recording: Path) -> tuple[Path, Path]:
    """Names that a table can hold, and that no file has, whatever its ending: tables may leave endings out."""
    stem = "".join(letter if letter.isprintable() else "_" for letter in recording.stem)
    taken = {os.path.splitext(name)[0] for name in os.listdir(recording.parent)}
    number = ""
    while {f"{stem}_a{number}", f"{stem}_b{number}"} & taken:
        number = str(int(number or 1) + 1)
    return recording.with_name(f"{stem}_a{number}.wav"), recording.with_name(f"{stem}_b{number}.wav")
