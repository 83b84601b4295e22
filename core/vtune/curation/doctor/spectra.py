"""Compute short spectra of a recording in one pass, and keep levels, bands, and the bands of the fingerprint.

Each spectrum covers 32 ms under a Hann window, every 10 ms; the time grid is the same at every sample rate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation.energy import SILENCE_DB
from vtune.audio.segmentation.segments import FRAME_SECONDS

WINDOW_SECONDS = 0.032
"""Seconds of sound in one spectrum."""

RUMBLE_HZ = 50.0
"""Frequency below which power does not count for levels: voices have none there, but footsteps and traffic do."""

SPEECH_BAND_EDGES_HZ = (RUMBLE_HZ, 500.0, 1_000.0, 2_000.0, 4_000.0, 12_000.0)
"""Hz between which the power is kept that tells speech from pauses, as ``vtune.audio.segmentation.bands`` does it.
A last "s" has no power below 4 kHz."""

HISTOGRAM_BAND_HZ = 125.0
"""Width of the bands whose levels are counted."""

MAX_BAND_HZ = 24_000.0
"""Highest frequency of a band; no engine speaks above it."""

MIN_HISTOGRAM_DB = -150
"""Lowest step of the histograms."""

FINGERPRINT_BANDS = 17
"""Bands of the fingerprint, evenly spaced on the mel scale from 250 to 3400 Hz, which a telephone transmits."""

FRAMES_PER_ROW = 4
"""Frames that are averaged for one row of the fingerprint (40 ms)."""


class Spectra:
    """Analyses a recording block by block; memory grows by 2.5 kB per second of sound.

    ``histogram`` counts the levels of each band in steps of 1 dB from ``MIN_HISTOGRAM_DB``, ``int64 [bands, levels]``;
    ``centres`` holds the centre of each band in Hz.

    :param rate: samples per second.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._size = max(8, round(rate * WINDOW_SECONDS))
        self._window = np.hanning(self._size + 2)[1:-1].astype(np.float32)
        # With this scale, the power of a spectrum adds up to the mean square of the sound.
        self._scale = np.float32(2 / (self._size * np.square(self._window, dtype=np.float64).sum()))
        hertz: NDArray[np.float64] = np.fft.rfftfreq(self._size, 1 / rate).astype(np.float64)
        self._audible = hertz >= min(RUMBLE_HZ, rate / 4)
        self._parts = _speech_band_matrix(hertz)
        self._edges = np.searchsorted(
            hertz, np.arange(0, min(rate / 2, MAX_BAND_HZ) - HISTOGRAM_BAND_HZ / 2, HISTOGRAM_BAND_HZ)
        )
        self._edges = np.unique(self._edges[self._edges < len(hertz)])
        self.centres = np.add.reduceat(hertz, self._edges) / np.add.reduceat(np.ones(len(hertz)), self._edges)
        self._marks = _mel_bands(hertz)
        self._rest = np.zeros(0, dtype=np.float32)
        self._begins = 0  # the sample of the recording at which ``_rest`` begins
        self._frame = 0
        self._power: list[NDArray[np.float32]] = []
        self._bands: list[NDArray[np.float32]] = []
        self._rows: list[NDArray[np.float32]] = []
        self._waiting = np.zeros((0, FINGERPRINT_BANDS), dtype=np.float32)
        self.histogram = np.zeros((len(self._edges), 1 - MIN_HISTOGRAM_DB), dtype=np.int64)

    def add(self, mono: NDArray[np.float32]) -> None:
        """Add mono samples, ``float32 [samples]``."""
        self._rest = np.concatenate([self._rest, mono])
        last = self._begins + len(self._rest) - self._size
        count = int(last / (self._rate * FRAME_SECONDS)) + 1 - self._frame if last >= 0 else 0
        if count <= 0:
            return
        starts = np.rint((self._frame + np.arange(count)) * self._rate * FRAME_SECONDS).astype(np.int64) - self._begins
        starts = starts[starts <= len(self._rest) - self._size]
        if len(starts):
            self._take(starts)

    def end(self) -> None:
        """Finish the recording; a recording shorter than one spectrum is padded with silence."""
        if not self._frame and len(self._rest):
            self.add(np.zeros(self._size - len(self._rest), dtype=np.float32))
        if len(self._waiting):
            self._rows.append(self._waiting.mean(axis=0, keepdims=True))
            self._waiting = self._waiting[:0]

    @property
    def levels(self) -> NDArray[np.float32]:
        """Level of each frame without rumble, dBFS ``float32 [frames]``."""
        return _decibels(self._power)

    @property
    def bands(self) -> NDArray[np.float32]:
        """Power of each frame in each speech band, ``float32 [frames, 5]``, for ``vtune.audio.segmentation.bands``."""
        return np.concatenate([np.zeros((0, len(SPEECH_BAND_EDGES_HZ) - 1), dtype=np.float32), *self._bands])

    @property
    def marks(self) -> NDArray[np.float32]:
        """Power of the fingerprint's bands, ``float32 [rows, 17]``, one row for each 40 ms."""
        return np.concatenate(self._rows) if self._rows else np.zeros((0, FINGERPRINT_BANDS), dtype=np.float32)

    def _take(self, starts: NDArray[np.int64]) -> None:
        from scipy.fft import rfft

        frames = np.lib.stride_tricks.sliding_window_view(self._rest, self._size)[starts] * self._window
        spectrum = rfft(frames, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2) * self._scale
        self._power.append(power[:, self._audible].sum(axis=1))
        self._bands.append(power @ self._parts)
        bands = np.add.reduceat(power, self._edges, axis=1)
        steps = np.clip(np.rint(10 * np.log10(bands + 1e-20)), MIN_HISTOGRAM_DB, 0).astype(np.int64) - MIN_HISTOGRAM_DB
        bins = steps + np.arange(len(self._edges)) * self.histogram.shape[1]
        self.histogram += np.bincount(bins.ravel(), minlength=self.histogram.size).reshape(self.histogram.shape)
        self._gather(power @ self._marks)
        self._frame += len(starts)
        consumed = max(0, int(self._frame * self._rate * FRAME_SECONDS) - self._begins - 1)
        self._rest = self._rest[consumed:]
        self._begins += consumed

    def _gather(self, rows: NDArray[np.float32]) -> None:
        rows = np.concatenate([self._waiting, rows])
        complete_rows = len(rows) // FRAMES_PER_ROW * FRAMES_PER_ROW
        self._rows.append(rows[:complete_rows].reshape(-1, FRAMES_PER_ROW, FINGERPRINT_BANDS).mean(axis=1))
        self._waiting = rows[complete_rows:]


def _speech_band_matrix(hertz: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return a matrix that adds up the bins of each speech band, ``float32 [bins, bands]``."""
    edges = np.asarray(SPEECH_BAND_EDGES_HZ)
    return ((hertz[:, None] >= edges[:-1]) & (hertz[:, None] < edges[1:])).astype(np.float32)


def _mel_bands(hertz: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return overlapping triangular mel filters, ``float32 [bins, 17]``."""
    low, high = 2595 * np.log10(1 + np.asarray([250, 3_400]) / 700)
    points = 700 * (10 ** (np.linspace(low, high, FINGERPRINT_BANDS + 2) / 2595) - 1)
    left, middle, right = points[:-2], points[1:-1], points[2:]
    up, down = (hertz[:, None] - left) / (middle - left), (right - hertz[:, None]) / (right - middle)
    return np.maximum(0, np.minimum(up, down)).astype(np.float32)


def _decibels(powers: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    power = np.concatenate(powers) if powers else np.zeros(0, dtype=np.float32)
    return np.asarray(10 * np.log10(power + np.float32(10 ** (SILENCE_DB / 10))), dtype=np.float32)
