"""Find speech by its level in four frequency bands, each relative to the noise of the band.

White noise masks the high tones of speech long before the low ones; a hum or a crowd masks the low ones. So the power
of each band is divided by the noise floor of that band before the bands are added. The floor is at most 40 dB below the
speech of its band: a lower floor would count the faint noise of the room as speech.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation.energy import (
    MIN_SPEECH_DBFS,
    THRESHOLD_SHARE,
    Levels,
    floor_and_speech,
    smoothed_levels,
    speech,
)
from vtune.audio.segmentation.framing import Framer, mean_square

BAND_SPLITS = 3
"""Splits into bands of 2-4, 1-2, 0.5-1 and 0-0.5 kHz, by Haar's wavelet: sums and differences of neighbours."""

MAX_FLOOR_DEPTH_DB = 40.0
"""Largest distance in dB between the speech of a band and its floor."""


class BandMeter:
    """Measures a recording block by block: the power of four bands for each frame of ``hop`` samples.

    The powers of the channels are added, so that opposite phases do not cancel. A frame takes 16 bytes.
    """

    def __init__(self, sample_rate: int) -> None:
        self._framer = Framer(sample_rate, 2**BAND_SPLITS)
        self.hop = self._framer.hop
        self._bands: list[NDArray[np.float32]] = []

    def add(self, block: NDArray[np.float32]) -> None:
        """Take samples ``[n, channels]``."""
        low, size = self._framer.add(block), self._framer.size
        bands = []
        for halving in range(1, BAND_SPLITS + 1):
            even, odd = low[0::2], low[1::2]
            # Unscaled, each sum and difference doubles the power, and each band has half the samples.
            bands.append(mean_square(even - odd, size >> halving) / np.float32(4**halving))
            low = even + odd
        bands.append(mean_square(low, size >> BAND_SPLITS) / np.float32(4**BAND_SPLITS))
        self._bands.append(np.stack(bands, axis=1))

    def bands(self) -> NDArray[np.float32]:
        """Return the mean square of each frame in each band, ``[frames, 4]``; their sum is that of the sound."""
        return np.concatenate([np.zeros((0, BAND_SPLITS + 1), dtype=np.float32), *self._bands])


def above_noise(bands: NDArray[np.float32]) -> Levels:
    """Return the level of each frame above the noise around it, in dB, over all bands, smoothed; float32 [frames]."""
    total = np.zeros(len(bands))
    for power in bands.T:
        levels = smoothed_levels(power)
        floor, loud = floor_and_speech(levels)
        total += power / 10 ** (np.maximum(np.maximum(floor, loud - MAX_FLOOR_DEPTH_DB), MIN_SPEECH_DBFS) / 10)
    return smoothed_levels(total / bands.shape[1])


def band_speech_mask(bands: NDArray[np.float32], levels: Levels, share: float = THRESHOLD_SHARE) -> NDArray[np.bool_]:
    """Return which frames hold speech, bool [frames].

    :param bands: the power of each band, float32 [frames, 4].
    :param levels: what ``above_noise`` returns for the bands.
    :param share: position of the threshold between the floor (0) and the speech level (1).
    """
    return speech(levels, share) & (smoothed_levels(bands.sum(axis=1)) > MIN_SPEECH_DBFS)
