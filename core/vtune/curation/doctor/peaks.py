"""Measure peak, offset and clipping at any level: a clipped waveform keeps its flat tops when its level is reduced.

Samples are counted by magnitude in steps of about a thousandth (a float's exponent and ten bits of its fraction), and
samples that equal their neighbours are also counted separately. A channel is clipped if many of those samples lie at
the very top, and if the top holds far more samples than the range below it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_STILL_STEP = 1.5 / 32768
"""Largest difference between equal neighbours: one step of 16 bits and its rounding."""

TOP_SHARE = 0.995
"""Share of the peak above which a sample counts as part of the top."""

BELOW_TOP_SHARE = 0.90
"""Share of the peak at which the range below the top starts, with which the top is compared."""

MIN_TOP_DENSITY_RATIO = 10.0
"""Density of the top relative to the range below. A sine has 5.4, speech about 1, clipped speech 20 and more."""

MIN_FLAT_TOPS = 4
"""Smallest number of flat tops of three equal samples or more. Speech reaches its highest peak once or twice."""

MAX_CHANNELS = 8
"""Channels that are measured, which limits the memory: a recording with more is not a recording of a voice."""

_SHIFT_BITS = 13
_LOWEST_STEP, _HIGHEST_STEP = (np.asarray([2.0**e], np.float32).view(np.uint32).item() >> _SHIFT_BITS for e in (-20, 8))


@dataclass(frozen=True, slots=True)
class Peaks:
    """Measures of the sample values, where full scale is 1.

    :param peak: largest magnitude.
    :param offset: mean of the channel with the largest mean.
    :param clipped: share of the samples that lie on flat tops, in [0, 1].
    """

    peak: float
    offset: float
    clipped: float


class PeakMeter:
    """Measures a recording block by block; the memory does not grow.

    :param channels: channels of the recording.
    """

    def __init__(self, channels: int) -> None:
        channels = min(channels, MAX_CHANNELS)
        self._sums = np.zeros(channels)
        self._count = 0
        self._peak = 0.0
        size = _HIGHEST_STEP - _LOWEST_STEP + 1
        # Positive and negative samples are counted separately, because an offset moves their tops apart.
        self._sizes = np.zeros((channels, 2, size), dtype=np.int64)
        self._still = np.zeros((channels, 2, size), dtype=np.int64)
        self._tops = np.zeros((channels, 2, size), dtype=np.int64)
        self._last = np.zeros((0, channels), dtype=np.float32)

    def add(self, block: NDArray[np.float32]) -> None:
        """Add samples, ``float32 [samples, channels]``."""
        block = block[:, :MAX_CHANNELS]
        self._sums += block.sum(axis=0, dtype=np.float64)
        self._count += len(block)
        self._peak = max(self._peak, float(np.abs(block).max(initial=0)))
        longer = np.concatenate([self._last, block])
        self._last = longer[-3:]
        for channel in range(block.shape[1]):
            self._add(channel, longer[:, channel], len(longer) - len(block))

    def peaks(self) -> Peaks:
        """Return the measures of all samples so far."""
        means = self._sums / max(self._count, 1)
        offset = float(means[np.argmax(np.abs(means))])
        clipped = sum(self._clipped(channel, side) for channel in range(len(means)) for side in (0, 1))
        return Peaks(self._peak, offset, clipped / max(self._count * len(means), 1))

    def _add(self, channel: int, wave: NDArray[np.float32], counted: int) -> None:
        steps = np.clip(
            (np.abs(wave).view(np.uint32) >> _SHIFT_BITS).astype(np.int64) - _LOWEST_STEP,
            0,
            _HIGHEST_STEP - _LOWEST_STEP,
        )
        side = (wave < 0).astype(np.int64)
        bins = steps + side * self._sizes.shape[2]
        shape = self._sizes.shape[1:]
        length = shape[0] * shape[1]
        self._sizes[channel] += np.bincount(bins[counted:], minlength=length).reshape(shape)
        equal = np.abs(np.diff(wave)) <= MAX_STILL_STEP
        # A sample is still if it equals both neighbours; the first still sample of a run starts a flat top.
        still = equal[1:] & equal[:-1]
        top_starts = still[1:] & ~still[:-1]
        self._still[channel] += np.bincount(bins[2:-1][still[1:]], minlength=length).reshape(shape)
        self._tops[channel] += np.bincount(bins[2:-1][top_starts], minlength=length).reshape(shape)

    def _clipped(self, channel: int, side: int) -> int:
        """Count the samples on flat tops of one side of one channel; 0 if it is not clipped."""
        sizes = self._sizes[channel, side]
        highest = int(np.flatnonzero(sizes)[-1]) if sizes.any() else 0
        values = _step_values(np.asarray([highest])).item()
        top, below = (int(np.searchsorted(_STEP_VALUES, share * values)) for share in (TOP_SHARE, BELOW_TOP_SHARE))
        at_top, beneath = int(sizes[top:].sum()), int(sizes[below:top].sum())
        dense = at_top / (1 - TOP_SHARE) >= MIN_TOP_DENSITY_RATIO * max(beneath, 1) / (TOP_SHARE - BELOW_TOP_SHARE)
        if highest == 0 or not dense or self._tops[channel, side, top:].sum() < MIN_FLAT_TOPS:
            return 0
        # The two ends of each top do not equal both neighbours, so they are added here.
        return int(self._still[channel, side, top:].sum() + 2 * self._tops[channel, side, top:].sum())


def _step_values(steps: NDArray[np.int64]) -> NDArray[np.float32]:
    return ((steps + _LOWEST_STEP).astype(np.uint32) << _SHIFT_BITS).view(np.float32)


_STEP_VALUES = _step_values(np.arange(_HIGHEST_STEP - _LOWEST_STEP + 1))
