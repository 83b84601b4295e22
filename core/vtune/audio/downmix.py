"""Mix channels to one: their mean, after inverting each channel whose phase is opposite to the loudest channel.

The plain mean of a stereo recording with one inverted channel is silence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vtune.types import Waveform

OPPOSITE_CORRELATION = -0.5
"""A channel is inverted if its correlation with the loudest channel is lower."""


class ChannelMixer:
    """Measures the correlation of a recording's channels block by block, and mixes the channels.

    :param channels: the number of channels.
    """

    def __init__(self, channels: int) -> None:
        self._count = 0
        self._sum = np.zeros(channels)
        self._products = np.zeros((channels, channels))

    def add(self, block: NDArray[np.float32]) -> None:
        """Measure samples ``[n, channels]``."""
        if len(self._sum) == 1:
            return
        self._count += len(block)
        self._sum += block.sum(axis=0, dtype=np.float64)
        self._products += block.T @ block

    @property
    def weights(self) -> NDArray[np.float32]:
        """The factor of each channel, ``1 / channels`` or its negative; float32 [channels]."""
        channels = len(self._sum)
        weights = np.full(channels, 1 / channels, dtype=np.float32)
        if not self._count:
            return weights
        covariance = self._products / self._count - np.outer(self._sum, self._sum) / self._count**2
        power = np.maximum(np.diag(covariance), 0)
        loudest = int(np.argmax(power))
        bound = OPPOSITE_CORRELATION * np.sqrt(power * power[loudest])
        weights[covariance[:, loudest] < bound] *= -1
        return weights

    def mix(self, block: NDArray[np.float32]) -> Waveform:
        """Mix samples ``[n, channels]`` to ``[n]``."""
        return np.asarray(block[:, 0] if len(self._sum) == 1 else block @ self.weights)
