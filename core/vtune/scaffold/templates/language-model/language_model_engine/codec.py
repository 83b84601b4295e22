"""A codec without a network: a frame of sound is a pitch and the loudness of five bands, six integers in all.

Put the codec of your engine in the place of this module; the others use ``encode``, ``Decoder`` and the constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 8000
FRAME_SAMPLES = 320
WINDOW_SAMPLES = 2 * FRAME_SAMPLES
BAND_EDGES_HZ = np.array([0, 400, 900, 1600, 2500, 4001])
BAND_COUNT = len(BAND_EDGES_HZ) - 1
SLOT_SIZES = (32, *[16] * BAND_COUNT)
"""How many values each integer of a frame has: the pitch (0 is noise), then the bands (0 is silence)."""

LOWEST_PITCH_HZ, HIGHEST_PITCH_HZ, PITCHES_PER_OCTAVE = 70.0, 396.0, 12
MIN_VOICED_CORRELATION = 0.5
"""A frame has a pitch if it resembles itself one period later by at least this much."""
QUIETEST_DB, STEP_DB = -75.0, 4.5

Waveform = NDArray[np.float32]
Codes = NDArray[np.int64]

_WINDOW = np.hanning(WINDOW_SAMPLES + 1)[:-1]  # two windows, half a window apart, add up to 1


def band_of(frequencies: NDArray[np.floating[Any]]) -> Codes:
    """Return the index of the band that each frequency in Hz lies in."""
    bands: Codes = np.searchsorted(BAND_EDGES_HZ, frequencies, side="right") - 1
    return bands


def encode(waveform: Waveform) -> Codes:
    """Encode a waveform to codes ``[T x 6]``, T = samples / 320, rounded up."""
    frame_count = -(-len(waveform) // FRAME_SAMPLES)
    padded = np.pad(waveform.astype(np.float64), (0, frame_count * FRAME_SAMPLES + FRAME_SAMPLES - len(waveform)))
    starts = FRAME_SAMPLES * np.arange(frame_count)[:, None]
    frames = padded[starts + np.arange(WINDOW_SAMPLES)] * _WINDOW  # [T x 640]
    return np.column_stack([_pitch_codes(frames), _level_codes(frames)])


def _level_codes(frames: NDArray[np.float64]) -> Codes:
    """Return the loudness of each band in steps of 4.5 dB, ``[T x 5]``."""
    power = np.square(np.abs(np.fft.rfft(frames))) / np.square(_WINDOW).sum() / FRAME_SAMPLES  # [T x 321]
    bins = band_of(np.fft.rfftfreq(WINDOW_SAMPLES, 1 / SAMPLE_RATE))
    band_power = power @ (bins[:, None] == np.arange(BAND_COUNT))  # [T x 5]
    steps = np.rint((10 * np.log10(band_power + 1e-12) - QUIETEST_DB) / STEP_DB)
    codes: Codes = np.clip(steps, 0, SLOT_SIZES[1] - 1).astype(np.int64)
    return codes


def _pitch_codes(frames: NDArray[np.float64]) -> Codes:
    """Return the pitch of each frame in semitones, from its autocorrelation, ``[T]``; 0 for a frame without a pitch."""

    def autocorrelation(signal: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.fft.irfft(np.square(np.abs(np.fft.rfft(signal, 2 * WINDOW_SAMPLES))))

    correlation = autocorrelation(frames) / autocorrelation(_WINDOW)  # [T x lags]
    correlation /= np.maximum(correlation[:, :1], 1e-9)
    lags = np.arange(int(SAMPLE_RATE / HIGHEST_PITCH_HZ), int(SAMPLE_RATE / LOWEST_PITCH_HZ) + 1)
    candidates = correlation[:, lags]
    best = candidates.max(axis=1)
    # Two periods resemble each other as much as one: of the lags that are nearly the best, the shortest is the period.
    is_peak = (candidates >= correlation[:, lags - 1]) & (candidates >= correlation[:, lags + 1])
    periods = lags[np.argmax(is_peak & (candidates > 0.9 * best[:, None]), axis=1)]
    codes = 1 + np.rint(PITCHES_PER_OCTAVE * np.log2(SAMPLE_RATE / periods / LOWEST_PITCH_HZ))
    return np.where(best < MIN_VOICED_CORRELATION, 0, np.clip(codes, 1, SLOT_SIZES[0] - 1)).astype(np.int64)


class Decoder:
    """Decodes the frames of one utterance in order: each is windowed and added to the second half of the one before."""

    def __init__(self) -> None:
        spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=SAMPLE_RATE))
        bins = band_of(np.fft.rfftfreq(SAMPLE_RATE, 1 / SAMPLE_RATE))
        noises = np.fft.irfft(spectrum * (bins == np.arange(BAND_COUNT)[:, None]))  # [5 x 8000], one second a band
        self._noises = noises / np.sqrt(np.square(noises).mean(axis=1, keepdims=True))
        self._second_half = np.zeros(FRAME_SAMPLES)
        self._phase = 0.0
        self._start = 0

    def decode(self, frame: Sequence[int]) -> Waveform:
        """Decode the six codes of the next frame to float32 ``[320]``."""
        pitch_code, *level_codes = frame
        levels = np.array(level_codes)
        amplitudes = np.where(levels > 0, 10 ** ((QUIETEST_DB + STEP_DB * levels) / 20), 0)  # [5]
        sound = _WINDOW * (self._tone(pitch_code, amplitudes) if pitch_code else self._noise(amplitudes))
        piece = self._second_half + sound[:FRAME_SAMPLES]
        self._second_half = sound[FRAME_SAMPLES:]
        self._start += FRAME_SAMPLES
        return np.clip(piece, -1, 1).astype(np.float32)

    def _tone(self, pitch_code: int, amplitudes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a window of harmonics of one pitch; those in a band share its loudness."""
        pitch = LOWEST_PITCH_HZ * 2 ** ((pitch_code - 1) / PITCHES_PER_OCTAVE)
        harmonics = np.arange(1, int(SAMPLE_RATE / 2 / pitch) + 1)
        bands = band_of(harmonics * pitch)
        gains = amplitudes[bands] * np.sqrt(2 / np.bincount(bands)[bands])
        angles = self._phase + 2 * np.pi * pitch * np.arange(WINDOW_SAMPLES) / SAMPLE_RATE
        self._phase = float(angles[FRAME_SAMPLES]) % (2 * np.pi)  # the next window begins half a window later
        sound: NDArray[np.float64] = gains @ np.sin(np.outer(harmonics, angles))
        return sound

    def _noise(self, amplitudes: NDArray[np.float64]) -> NDArray[np.float64]:
        positions = (self._start + np.arange(WINDOW_SAMPLES)) % SAMPLE_RATE
        sound: NDArray[np.float64] = amplitudes @ self._noises[:, positions]
        return sound
