"""Pictures of utterances: time from left to right, frequency upwards, the strength as a colour."""

from __future__ import annotations

import numpy as np

from vtune.audio import mel_levels
from vtune.types import Waveform
from vtune.webpage import PAGE_SAMPLE_RATE
from vtune.webpage.picture import encode_png, png_data_url

COLUMNS = 360
"""Across the time scale of a text."""

BANDS = 48
"""Rows: evenly spaced in mel up to the highest frequency that the page's sound has."""

MAX_LEVEL_DB, RANGE_DB = -18.0, 62.0
"""Level that gets the last colour, and dB down to the first. The same for all utterances, which are at one level."""

STOPS = ("10121a", "242e66", "6b3a86", "c44e6c", "f28f52", "fbeeb8")
"""Colours from silence to the loudest, each lighter than the one before."""

SHADES = 24
"""Colours of a picture: more are hardly seen, and make it larger."""


def spectrogram(sound: Waveform, step: int) -> str:
    """Return a picture as a ``data:`` address, about 4 kB of PNG where it fills the time scale.

    :param sound: at the page's rate and level; one sample at least.
    :param step: samples that one column stands for.
    """
    levels = mel_levels(sound, PAGE_SAMPLE_RATE, step, BANDS, PAGE_SAMPLE_RATE / 2)
    shades = np.clip((levels - MAX_LEVEL_DB) / RANGE_DB + 1, 0, 1) * (SHADES - 1)
    return png_data_url(encode_png(np.rint(shades).astype(np.uint8).T[::-1], PALETTE))


def _palette() -> np.ndarray:
    places, stops = np.linspace(0, len(STOPS) - 1, SHADES), np.array([list(bytes.fromhex(stop)) for stop in STOPS])
    mixed = [np.interp(places, np.arange(len(STOPS)), stops[:, part]) for part in range(3)]
    return np.asarray(np.rint(np.stack(mixed, axis=1)), dtype=np.uint8)


PALETTE = _palette()
