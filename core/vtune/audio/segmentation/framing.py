"""Cut blocks of any length into frames of about 10 ms, at a low sample rate that is enough for levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation.segments import FRAME_SECONDS

LEVEL_SAMPLE_RATE = 8_000
"""Hz; neighbouring samples are averaged down to about this rate before levels are measured."""


class Framer:
    """Takes a recording block by block and returns whole frames of ``hop`` samples, as close to 10 ms as possible.

    :param multiple: a frame has a multiple of this many samples, after averaging.
    """

    def __init__(self, sample_rate: int, multiple: int = 1) -> None:
        self._down = max(1, sample_rate // LEVEL_SAMPLE_RATE)
        self.size = multiple * max(1, round(sample_rate * FRAME_SECONDS / self._down / multiple))
        self.hop = self._down * self.size
        self._rest: NDArray[np.float32] | None = None

    def add(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take samples ``[n, channels]``; return whole frames, averaged, ``[frames * size, channels]``."""
        block = block if self._rest is None else np.concatenate([self._rest, block])
        complete_samples = len(block) // self.hop * self.hop
        self._rest = block[complete_samples:]
        groups = block[:complete_samples].reshape(-1, self._down, block.shape[1])
        averaged = groups[:, 0].copy()
        for offset in range(1, self._down):  # strided sums are faster than a mean over an axis of three
            averaged += groups[:, offset]
        averaged /= np.float32(self._down)
        return averaged


def mean_square(sound: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return the mean square of each ``size`` samples ``[frames * size, channels]``, over all channels."""
    frames = sound.reshape(-1, size * sound.shape[1])
    return np.asarray(np.einsum("ij,ij->i", frames, frames) / np.float32(frames.shape[1]))
