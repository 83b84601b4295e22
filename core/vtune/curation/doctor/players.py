"""What the page shows and plays of one recording: the outline of its wave, and the sound as a small MP3."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vtune.curation.doctor.measure import even_blocks
from vtune.curation.doctor.recordings import Listener
from vtune.errors import DataError
from vtune.webpage import embedded

COLUMNS = 480
"""Of the outline."""

HALF = 100
"""Steps of the outline from zero to its peak."""

LONGEST = 20.0
"""Seconds of a recording that is embedded; a longer one is linked to."""


@dataclass(frozen=True, slots=True)
class Player:
    """One recording on the page.

    :param outline: an SVG path in a box of ``COLUMNS`` by ``2 * HALF``, drawn to the peak; empty where there is no
        sound to be had.
    :param sound: a ``data:`` address, or empty.
    """

    outline: str = ""
    sound: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """Makes players; can be pickled."""

    listener: Listener

    def __call__(self, wanted: tuple[str, float, bool]) -> Player:
        """Make one of a name, its seconds, and whether its sound shall be embedded."""
        name, seconds, embed = wanted
        try:
            outline = self._outline(name, seconds)
            return Player(outline, self._sound(name) if embed and seconds <= LONGEST else "")
        except (DataError, OSError):
            return Player()  # what cannot be read has its finding already

    def _outline(self, name: str, seconds: float) -> str:
        low, high = np.zeros(COLUMNS), np.zeros(COLUMNS)
        with self.listener.opened(name) as sound:
            step = max(1, math.ceil(seconds * sound.rate / COLUMNS))
            begun = 0
            for block in even_blocks(sound.blocks(), sound.channels):
                places = np.minimum((begun + np.arange(len(block))) // step, COLUMNS - 1)
                columns, starts = np.unique(places, return_index=True)
                np.minimum.at(low, columns, np.minimum.reduceat(block.min(axis=1), starts))
                np.maximum.at(high, columns, np.maximum.reduceat(block.max(axis=1), starts))
                begun += len(block)
        used = min(COLUMNS, max(1, -(-begun // step)))
        # Drawn to its peak: a quiet wave at full scale is a line that shows nothing.
        peak = max(float(high.max()), -float(low.min()), 1e-9)
        low, high = (side[:used] / peak * HALF for side in (low, high))
        stretch = COLUMNS / used
        there = [f"{place * stretch:.0f},{HALF - value:.0f}" for place, value in enumerate(high)]
        back = [f"{place * stretch:.0f},{HALF - value:.0f}" for place, value in enumerate(low)]
        return f"M{' '.join([*there, *reversed(back)])}z"

    def _sound(self, name: str) -> str:
        return embedded(*self.listener.load(name))
