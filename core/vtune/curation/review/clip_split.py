"""Split a recording into two new recordings at the quietest moment near a requested time."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from vtune import audio
from vtune.dataset.sources.recordings import Recordings
from vtune.errors import DataError
from vtune.types import Audio, Waveform

QUIET_WINDOW_SECONDS = 0.02
"""Seconds around the cut over which the loudness is averaged."""

SEARCH_SECONDS = 0.1
"""Seconds on each side of the requested time in which the cut is searched."""

MIN_HALF_SECONDS = 0.1
"""Smallest number of seconds of each half."""


def quietest_sample(waveform: Waveform, rate: int, near: float) -> int:
    """Return the index of the sample in the middle of the quietest 20 ms within 0.1 s of ``near`` seconds.

    :raises DataError: a half would be shorter than 0.1 s.
    """
    min_samples = round(MIN_HALF_SECONDS * rate)
    first = max(round((near - SEARCH_SECONDS) * rate), min_samples)
    last = min(round((near + SEARCH_SECONDS) * rate), len(waveform) - min_samples)
    if not min_samples <= near * rate <= len(waveform) - min_samples:
        raise DataError(
            f"cannot be split at {near:.2f} s: each half needs {MIN_HALF_SECONDS:g} s or more, "
            f"and the recording has {len(waveform) / rate:.2f} s"
        )
    half = max(1, round(QUIET_WINDOW_SECONDS * rate / 2))
    # The loudness of a cut at sample n is the power of the samples n - half to n + half.
    start = max(0, first - half)
    piece = waveform[start : last + half].astype(np.float64)
    power = np.concatenate([[0.0], np.cumsum(piece**2)])
    cuts = np.arange(first, last + 1)
    low, high = np.maximum(cuts - half - start, 0), np.minimum(cuts + half - start, len(piece))
    loudness = (power[high] - power[low]) / (high - low)
    # Among equally quiet cuts (digital silence), take the one nearest to the requested time.
    return int(cuts[np.lexsort((np.abs(cuts - near * rate), np.round(loudness, 15)))[0]])


def split_recording(recording: Path, near: float) -> tuple[Path, Path, float]:
    """Write both halves as new WAV files beside the recording; return their paths and the second of the cut.

    :raises DataError: the recording cannot be read, or a half would be too short.
    """
    waveform, rate = audio.recorded(recording)
    try:
        cut = quietest_sample(waveform, rate, near)
    except DataError as error:
        raise DataError(f"{recording} {error}") from error
    first, second = _free_names(recording)
    audio.write_wav(first, [Audio(waveform[:cut], rate)], rate)
    audio.write_wav(second, [Audio(waveform[cut:], rate)], rate)
    return first, second, cut / rate


def name_of(new: Path, old: Path, old_name: str, table: Path, root: Path) -> str:
    """Return the name of a new recording in a table, in the style of the old recording's name.

    Example: if the table says ``clips/talk`` for ``talk.flac``, the new ``talk_a.wav`` becomes ``clips/talk_a``.

    :param old_name: name of the old recording in the table.
    :param root: the folder in which recordings are searched.
    """
    head, slash, last = old_name.replace("\\", "/").rpartition("/")
    has_extension = last.lower().endswith(old.suffix.lower())
    name = head + slash + (new.name if has_extension else new.stem)
    recording, _ = Recordings(root).find(name, table.parent)
    return name if recording and os.path.samefile(recording, new) else os.path.relpath(new, table.parent)


def _free_names(recording: Path) -> tuple[Path, Path]:
    """Return two unused names that a table can hold; file extensions do not matter, because tables may omit them."""
    stem = "".join(letter if letter.isprintable() else "_" for letter in recording.stem)
    used_stems = {os.path.splitext(name)[0] for name in os.listdir(recording.parent)}
    number = ""
    while {f"{stem}_a{number}", f"{stem}_b{number}"} & used_stems:
        number = str(int(number or 1) + 1)
    return recording.with_name(f"{stem}_a{number}.wav"), recording.with_name(f"{stem}_b{number}.wav")
