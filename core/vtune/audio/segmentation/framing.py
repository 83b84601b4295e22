"""Blocks of any length to whole frames of about 10 ms, at a rate that is enough to tell levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation.segments import FRAME

BAND = 8_000
"""Hz that the sound is brought down to before its levels are taken, by averaging neighbours."""


class Framer:
    """Takes a recording block by block and gives whole frames of ``hop`` samples, 10 ms as near as that goes.

    :param multiple: of which a frame's samples are, after averaging.
    """

    def __init__(self, sample_rate: int, multiple: int = 1) -> None:
        self._down = max(1, sample_rate // BAND)
        self.size = multiple * max(1, round(sample_rate * FRAME / self._down / multiple))
        self.hop = self._down * self.size
        self._rest: NDArray[np.float32] | None = None

    def add(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take samples ``[n, channels]``; return whole frames of averaged ones, ``[frames * size, channels]``."""
        block = block if self._rest is None else np.concatenate([self._rest, block])
        whole = len(block) // self.hop * self.hop
        self._rest = block[whole:]
        apart = block[:whole].reshape(-1, self._down, block.shape[1])
        averaged = apart[:, 0].copy()
        for place in range(1, self._down):  # strided sums are faster than a mean over an axis of three
            averaged += apart[:, place]
        averaged /= np.float32(self._down)
        return averaged


def mean_square(sound: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return the mean square of each ``size`` samples ``[frames * size, channels]``, over all channels."""
    frames = sound.reshape(-1, size * sound.shape[1])
    return np.asarray(np.einsum("ij,ij->i", frames, frames) / np.float32(frames.shape[1]))
