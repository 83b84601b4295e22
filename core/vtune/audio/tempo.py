"""Change the tempo of sound at the same pitch, piece by piece, with FFmpeg's filter ``atempo``."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.filter import Graph

from vtune.types import Waveform

BLOCK_SAMPLES = 512
"""Samples that FFmpeg gets at once, always the same number: with other blocks the filter cuts at other points."""


class Tempo:
    """Changes the tempo of one sound.

    :param speed: 0.25 to 4; 2 is twice as fast.
    """

    def __init__(self, sample_rate: int, speed: float) -> None:
        self._rate, self._samples = sample_rate, 0
        self._held = np.zeros(0, dtype=np.float32)
        self._graph = graph = Graph()
        last = graph.add_abuffer(
            format="flt", sample_rate=sample_rate, layout="mono", time_base=Fraction(1, sample_rate)
        )
        for factor in _factors(speed):
            step = graph.add("atempo", str(factor))
            last.link_to(step)
            last = step
        last.link_to(graph.add("abuffersink"))
        graph.configure()

    def add(self, waveform: Waveform) -> Waveform:
        """Add a piece, ``float32 [samples]``; return the samples that are ready, possibly none."""
        held = np.concatenate([self._held, waveform])
        complete_samples = len(held) // BLOCK_SAMPLES * BLOCK_SAMPLES
        for start in range(0, complete_samples, BLOCK_SAMPLES):
            self._push(held[start : start + BLOCK_SAMPLES])
        self._held = held[complete_samples:]
        return self._ready()

    def end(self) -> Waveform:
        """Return the remaining samples."""
        if len(self._held):
            self._push(self._held)
        if self._samples:  # FFmpeg cannot end a sound that never began
            self._graph.push(None)
        return self._ready()

    def _push(self, block: Waveform) -> None:
        frame = av.AudioFrame.from_ndarray(block[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts = self._rate, self._samples
        self._samples += len(block)
        self._graph.push(frame)

    def _ready(self) -> Waveform:
        pieces = [np.zeros(0, dtype=np.float32)]
        try:
            while True:
                pieces.append(self._graph.pull().to_ndarray()[0])
        except (av.BlockingIOError, av.EOFError):
            return np.concatenate(pieces)


def _factors(speed: float) -> list[float]:
    # One atempo filter does not go below 0.5.
    return [speed] if speed >= 0.5 else [0.5, *_factors(speed / 0.5)]
