"""Channels to one: their mean, with those turned round whose phase is opposite to the loudest one's.

A plain mean of a stereo recording with one side wired the wrong way round is silence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vtune.types import Waveform

OPPOSITE = -0.5
"""Correlation with the loudest channel under which a channel is turned round."""


class Mixer:
    """Learns how the channels of a recording hang together, block by block, and mixes them.

    :param channels: of the recording.
    """

    def __init__(self, channels: int) -> None:
        self._count = 0
        self._sum = np.zeros(channels)
        self._products = np.zeros((channels, channels))

    def add(self, block: NDArray[np.float32]) -> None:
        """Take samples ``[n, channels]``."""
        if len(self._sum) == 1:
            return
        self._count += len(block)
        self._sum += block.sum(axis=0, dtype=np.float64)
        self._products += block.T @ block

    @property
    def weights(self) -> NDArray[np.float32]:
        """What each channel is multiplied with: ``1 / channels`` in size."""
        channels = len(self._sum)
        weights = np.full(channels, 1 / channels, dtype=np.float32)
        if not self._count:
            return weights
        covariance = self._products / self._count - np.outer(self._sum, self._sum) / self._count**2
        power = np.maximum(np.diag(covariance), 0)
        loudest = int(np.argmax(power))
        bound = OPPOSITE * np.sqrt(power * power[loudest])
        weights[covariance[:, loudest] < bound] *= -1
        return weights

    def mix(self, block: NDArray[np.float32]) -> Waveform:
        """Mix samples ``[n, channels]`` to ``[n]``."""
        return np.asarray(block[:, 0] if len(self._sum) == 1 else block @ self.weights)
