"""One pass of short spectra over a recording, and what is kept of them: levels, bands, and the root of a fingerprint.

Spectra are of 32 ms under a Hann window, one every 10 ms, on a grid that is the same at every rate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation.energy import SILENCE
from vtune.audio.segmentation.segments import FRAME

WINDOW = 0.032
"""Seconds of sound under one spectrum."""

RUMBLE = 50.0
"""Hz; what lies below counts for no level: no voice does, and steps and traffic do."""

BANDS = (RUMBLE, 500.0, 1_000.0, 2_000.0, 4_000.0, 12_000.0)
"""Hz between which the power is kept that tells speech from pauses, as ``vtune.audio.segmentation.bands`` does it.
A last "s" has no power below 4 kHz."""

BAND = 125.0
"""Hz of the bands whose loudness is counted."""

HIGHEST = 24_000.0
"""Hz; no engine speaks above."""

QUIETEST = -150
"""dB; the lowest step of the histograms."""

MARKS = 17
"""Bands of the fingerprint, evenly spread on the mel scale from 250 to 3400 Hz: what a telephone lets through."""

GROUP = 4
"""Frames that are added up for one row of the fingerprint's bands: 40 ms."""


class Spectra:
    """Takes a recording block by block; memory grows by 2.5 kB a second of sound.

    ``histogram`` counts the levels of each band, one step a dB from ``QUIETEST``; ``centres`` are the bands' Hz.

    :param rate: Hz.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._size = max(8, round(rate * WINDOW))
        self._window = np.hanning(self._size + 2)[1:-1].astype(np.float32)
        # So scaled, a spectrum's power adds up to the mean square of the sound.
        self._scale = np.float32(2 / (self._size * np.square(self._window, dtype=np.float64).sum()))
        hertz: NDArray[np.float64] = np.fft.rfftfreq(self._size, 1 / rate).astype(np.float64)
        self._audible = hertz >= min(RUMBLE, rate / 4)
        self._parts = _parts(hertz)
        self._edges = np.searchsorted(hertz, np.arange(0, min(rate / 2, HIGHEST) - BAND / 2, BAND))
        self._edges = np.unique(self._edges[self._edges < len(hertz)])
        self.centres = np.add.reduceat(hertz, self._edges) / np.add.reduceat(np.ones(len(hertz)), self._edges)
        self._marks = _mel_bands(hertz)
        self._rest = np.zeros(0, dtype=np.float32)
        self._begins = 0  # the sample of the recording that ``_rest`` begins with
        self._frame = 0
        self._power: list[NDArray[np.float32]] = []
        self._bands: list[NDArray[np.float32]] = []
        self._rows: list[NDArray[np.float32]] = []
        self._waiting = np.zeros((0, MARKS), dtype=np.float32)
        self.histogram = np.zeros((len(self._edges), 1 - QUIETEST), dtype=np.int64)

    def add(self, mono: NDArray[np.float32]) -> None:
        """Take samples ``[n]``."""
        self._rest = np.concatenate([self._rest, mono])
        last = self._begins + len(self._rest) - self._size
        count = int(last / (self._rate * FRAME)) + 1 - self._frame if last >= 0 else 0
        if count <= 0:
            return
        starts = np.rint((self._frame + np.arange(count)) * self._rate * FRAME).astype(np.int64) - self._begins
        starts = starts[starts <= len(self._rest) - self._size]
        if len(starts):
            self._take(starts)

    def end(self) -> None:
        """Finish a recording that is shorter than one spectrum."""
        if not self._frame and len(self._rest):
            self.add(np.zeros(self._size - len(self._rest), dtype=np.float32))
        if len(self._waiting):
            self._rows.append(self._waiting.mean(axis=0, keepdims=True))
            self._waiting = self._waiting[:0]

    @property
    def levels(self) -> NDArray[np.float32]:
        """DB of each frame, rumble left out."""
        return _decibels(self._power)

    @property
    def bands(self) -> NDArray[np.float32]:
        """Power of each frame in each of ``BANDS``, as ``vtune.audio.segmentation.bands`` takes them."""
        return np.concatenate([np.zeros((0, len(BANDS) - 1), dtype=np.float32), *self._bands])

    @property
    def marks(self) -> NDArray[np.float32]:
        """Power of the fingerprint's bands ``[groups, MARKS]``, one row each 40 ms."""
        return np.concatenate(self._rows) if self._rows else np.zeros((0, MARKS), dtype=np.float32)

    def _take(self, starts: NDArray[np.int64]) -> None:
        from scipy.fft import rfft

        frames = np.lib.stride_tricks.sliding_window_view(self._rest, self._size)[starts] * self._window
        spectrum = rfft(frames, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2) * self._scale
        self._power.append(power[:, self._audible].sum(axis=1))
        self._bands.append(power @ self._parts)
        bands = np.add.reduceat(power, self._edges, axis=1)
        steps = np.clip(np.rint(10 * np.log10(bands + 1e-20)), QUIETEST, 0).astype(np.int64) - QUIETEST
        places = steps + np.arange(len(self._edges)) * self.histogram.shape[1]
        self.histogram += np.bincount(places.ravel(), minlength=self.histogram.size).reshape(self.histogram.shape)
        self._gather(power @ self._marks)
        self._frame += len(starts)
        done = max(0, int(self._frame * self._rate * FRAME) - self._begins - 1)
        self._rest = self._rest[done:]
        self._begins += done

    def _gather(self, rows: NDArray[np.float32]) -> None:
        rows = np.concatenate([self._waiting, rows])
        whole = len(rows) // GROUP * GROUP
        self._rows.append(rows[:whole].reshape(-1, GROUP, MARKS).mean(axis=1))
        self._waiting = rows[whole:]


def _parts(hertz: NDArray[np.float64]) -> NDArray[np.float32]:
    """Which bin is in which of ``BANDS``, ``[bins, bands]``."""
    edges = np.asarray(BANDS)
    return ((hertz[:, None] >= edges[:-1]) & (hertz[:, None] < edges[1:])).astype(np.float32)


def _mel_bands(hertz: NDArray[np.float64]) -> NDArray[np.float32]:
    """Overlapping triangles ``[bins, MARKS]``."""
    low, high = 2595 * np.log10(1 + np.asarray([250, 3_400]) / 700)
    points = 700 * (10 ** (np.linspace(low, high, MARKS + 2) / 2595) - 1)
    left, middle, right = points[:-2], points[1:-1], points[2:]
    up, down = (hertz[:, None] - left) / (middle - left), (right - hertz[:, None]) / (right - middle)
    return np.maximum(0, np.minimum(up, down)).astype(np.float32)


def _decibels(powers: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    whole = np.concatenate(powers) if powers else np.zeros(0, dtype=np.float32)
    return np.asarray(10 * np.log10(whole + np.float32(10 ** (SILENCE / 10))), dtype=np.float32)
