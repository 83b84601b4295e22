"""Make the waveform and the player of one recording for the page: an outline, and the sound as a small MP3."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vtune.curation.doctor.measure import even_blocks
from vtune.curation.doctor.recording_openers import RecordingOpener
from vtune.errors import DataError
from vtune.webpage import sound_data_url

OUTLINE_COLUMNS = 480
"""Columns of the outline."""

OUTLINE_HALF_HEIGHT = 100
"""Units of the outline from zero to its peak."""

MAX_EMBEDDED_CLIP_SECONDS = 20.0
"""Seconds; a longer recording is not embedded but linked."""


@dataclass(frozen=True, slots=True)
class Player:
    """The waveform and the sound of one recording.

    :param outline: an SVG path in a box of ``OUTLINE_COLUMNS`` by ``2 * OUTLINE_HALF_HEIGHT``, scaled to the peak;
        empty if the recording cannot be read.
    :param sound: a ``data:`` URL, or empty.
    """

    outline: str = ""
    sound: str = ""


@dataclass(frozen=True, slots=True)
class PlayerMaker:
    """Makes the players of recordings; can be pickled."""

    listener: RecordingOpener

    def __call__(self, request: tuple[str, float, bool]) -> Player:
        """Make the player of one recording.

        :param request: name of the recording, its seconds, and whether to embed its sound.
        """
        name, seconds, embed = request
        try:
            outline = self._outline(name, seconds)
            return Player(outline, self._sound(name) if embed and seconds <= MAX_EMBEDDED_CLIP_SECONDS else "")
        except (DataError, OSError):
            return Player()  # an unreadable recording has a finding already

    def _outline(self, name: str, seconds: float) -> str:
        low, high = np.zeros(OUTLINE_COLUMNS), np.zeros(OUTLINE_COLUMNS)
        with self.listener.opened(name) as sound:
            step = max(1, math.ceil(seconds * sound.rate / OUTLINE_COLUMNS))
            samples = 0
            for block in even_blocks(sound.blocks(), sound.channels):
                column_of_sample = np.minimum((samples + np.arange(len(block))) // step, OUTLINE_COLUMNS - 1)
                columns, starts = np.unique(column_of_sample, return_index=True)
                np.minimum.at(low, columns, np.minimum.reduceat(block.min(axis=1), starts))
                np.maximum.at(high, columns, np.maximum.reduceat(block.max(axis=1), starts))
                samples += len(block)
        used = min(OUTLINE_COLUMNS, max(1, -(-samples // step)))
        # Scaled to its peak, because a quiet waveform at full scale would look like a line.
        peak = max(float(high.max()), -float(low.min()), 1e-9)
        low, high = (side[:used] / peak * OUTLINE_HALF_HEIGHT for side in (low, high))
        stretch = OUTLINE_COLUMNS / used
        forward = [f"{column * stretch:.0f},{OUTLINE_HALF_HEIGHT - value:.0f}" for column, value in enumerate(high)]
        backward = [f"{column * stretch:.0f},{OUTLINE_HALF_HEIGHT - value:.0f}" for column, value in enumerate(low)]
        return f"M{' '.join([*forward, *reversed(backward)])}z"

    def _sound(self, name: str) -> str:
        return sound_data_url(*self.listener.load(name))
