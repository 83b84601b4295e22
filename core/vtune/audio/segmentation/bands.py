"""Where speech is, by its level in four bands, each counted from its own noise.

White noise buries the high tones of speech long before the low ones, a hum or a crowd the low ones; so the power of
each band is divided by the noise floor of that band before they are added up. The floor counts no deeper than 40 dB
under the speech of its band: beneath that it is the room's breath, and nothing is gained by hearing it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation.energy import FAINTEST, Levels, decibel, floor_and_speech, speech
from vtune.audio.segmentation.framing import Framer, mean_square

HALVINGS = 3
"""Bands of 2-4, 1-2, 0.5-1 and 0-0.5 kHz, by Haar's wavelet: sums and differences of neighbours."""

DEPTH = 40.0
"""dB under the speech of a band that its floor counts at most."""


class BandMeter:
    """Takes a recording block by block and keeps the power of four bands for each frame of ``hop`` samples.

    Channels are added by power, so that opposite phases do not cancel. 16 bytes a frame.
    """

    def __init__(self, sample_rate: int) -> None:
        self._framer = Framer(sample_rate, 2**HALVINGS)
        self.hop = self._framer.hop
        self._bands: list[NDArray[np.float32]] = []

    def add(self, block: NDArray[np.float32]) -> None:
        """Take samples ``[n, channels]``."""
        low, size = self._framer.add(block), self._framer.size
        bands = []
        for halving in range(1, HALVINGS + 1):
            even, odd = low[0::2], low[1::2]
            # Unscaled, each sum and difference doubles the power, and each band has half the samples.
            bands.append(mean_square(even - odd, size >> halving) / np.float32(4**halving))
            low = even + odd
        bands.append(mean_square(low, size >> HALVINGS) / np.float32(4**HALVINGS))
        self._bands.append(np.stack(bands, axis=1))

    def bands(self) -> NDArray[np.float32]:
        """Return the mean square of each frame in each band, ``[frames, 4]``; their sum is that of the sound."""
        return np.concatenate([np.zeros((0, HALVINGS + 1), dtype=np.float32), *self._bands])


def above_noise(bands: NDArray[np.float32]) -> Levels:
    """Return how far each frame is above the noise around it, in dB, all bands together, smoothed."""
    total = np.zeros(len(bands))
    for power in bands.T:
        levels = decibel(power)
        floor, loud = floor_and_speech(levels)
        total += power / 10 ** (np.maximum(np.maximum(floor, loud - DEPTH), FAINTEST) / 10)
    return decibel(total / bands.shape[1])


def speech_in(bands: NDArray[np.float32], levels: Levels) -> NDArray[np.bool_]:
    """Tell the frames that hold speech.

    :param levels: what ``above_noise`` says of the bands.
    """
    return speech(levels) & (decibel(bands.sum(axis=1)) > FAINTEST)
