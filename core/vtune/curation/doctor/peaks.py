"""Peaks, offset and clipping, at whatever level: a clipped wave keeps its flat tops when it is turned down.

Samples are counted by their size in steps of a thousandth (a float's exponent and ten bits of its fraction), those that
stand still apart. At the end it is seen whether many stand still at the very top, and whether the top is crowded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STILL = 1.5 / 32768
"""How far a sample may be from its neighbours to stand still: a step of 16 bits and its rounding."""

TOP = 0.995
"""Share of the peak above which a sample is at the top."""

BELOW = 0.90
"""The top is compared with what lies from here to there."""

CROWDED = 10.0
"""How many times denser the top is than what lies below. A sine has 5.4, speech about 1, clipped speech 20 and more."""

FLAT_TOPS = 4
"""Tops of three samples and more that stand still. Speech reaches its highest peak once or twice."""

CHANNELS = 8
"""That are looked at, which bounds the memory: what has more is no recording of a voice."""

_SHIFT = 13
_LOW, _HIGH = (np.asarray([2.0**e], np.float32).view(np.uint32).item() >> _SHIFT for e in (-20, 8))


@dataclass(frozen=True, slots=True)
class Peaks:
    """What the samples are like.

    :param peak: the greatest, full scale being 1.
    :param offset: mean of the channel that has the greatest, full scale being 1.
    :param clipped: share of the samples that lie on flat tops.
    """

    peak: float
    offset: float
    clipped: float


class PeakMeter:
    """Takes a recording block by block; memory does not grow.

    :param channels: of the recording.
    """

    def __init__(self, channels: int) -> None:
        channels = min(channels, CHANNELS)
        self._sums = np.zeros(channels)
        self._count = 0
        self._peak = 0.0
        size = _HIGH - _LOW + 1
        # Each side of zero for itself: an offset moves their tops apart.
        self._sizes = np.zeros((channels, 2, size), dtype=np.int64)
        self._still = np.zeros((channels, 2, size), dtype=np.int64)
        self._tops = np.zeros((channels, 2, size), dtype=np.int64)
        self._last = np.zeros((0, channels), dtype=np.float32)

    def add(self, block: NDArray[np.float32]) -> None:
        """Take samples ``[n, channels]``."""
        block = block[:, :CHANNELS]
        self._sums += block.sum(axis=0, dtype=np.float64)
        self._count += len(block)
        self._peak = max(self._peak, float(np.abs(block).max(initial=0)))
        longer = np.concatenate([self._last, block])
        self._last = longer[-3:]
        for channel in range(block.shape[1]):
            self._add(channel, longer[:, channel], len(longer) - len(block))

    def peaks(self) -> Peaks:
        """Return what was found."""
        means = self._sums / max(self._count, 1)
        offset = float(means[np.argmax(np.abs(means))])
        clipped = sum(self._clipped(channel, side) for channel in range(len(means)) for side in (0, 1))
        return Peaks(self._peak, offset, clipped / max(self._count * len(means), 1))

    def _add(self, channel: int, wave: NDArray[np.float32], known: int) -> None:
        steps = np.clip((np.abs(wave).view(np.uint32) >> _SHIFT).astype(np.int64) - _LOW, 0, _HIGH - _LOW)
        side = (wave < 0).astype(np.int64)
        places = steps + side * self._sizes.shape[2]
        shape = self._sizes.shape[1:]
        length = shape[0] * shape[1]
        self._sizes[channel] += np.bincount(places[known:], minlength=length).reshape(shape)
        rest = np.abs(np.diff(wave)) <= STILL
        # A sample stands still when both neighbours are as high; the first one of such a row begins a flat top.
        still = rest[1:] & rest[:-1]
        begun = still[1:] & ~still[:-1]
        self._still[channel] += np.bincount(places[2:-1][still[1:]], minlength=length).reshape(shape)
        self._tops[channel] += np.bincount(places[2:-1][begun], minlength=length).reshape(shape)

    def _clipped(self, channel: int, side: int) -> int:
        """Count samples on flat tops, if the top is one."""
        sizes = self._sizes[channel, side]
        highest = int(np.flatnonzero(sizes)[-1]) if sizes.any() else 0
        values = _values(np.asarray([highest])).item()
        top, below = (int(np.searchsorted(_VALUES, share * values)) for share in (TOP, BELOW))
        at_top, beneath = int(sizes[top:].sum()), int(sizes[below:top].sum())
        dense = at_top / (1 - TOP) >= CROWDED * max(beneath, 1) / (TOP - BELOW)
        if highest == 0 or not dense or self._tops[channel, side, top:].sum() < FLAT_TOPS:
            return 0
        # The two ends of each top do not stand still by our measure.
        return int(self._still[channel, side, top:].sum() + 2 * self._tops[channel, side, top:].sum())


def _values(steps: NDArray[np.int64]) -> NDArray[np.float32]:
    return ((steps + _LOW).astype(np.uint32) << _SHIFT).view(np.float32)


_VALUES = _values(np.arange(_HIGH - _LOW + 1))
