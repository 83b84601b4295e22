"""An engine's sound to what a client gets: one rate, the tempo asked for, watermarks, a format."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import soxr

from vtune.audio import Tempo, encoder
from vtune.errors import EngineError
from vtune.types import Watermark, Waveform

RATE = 24_000
"""Hz of everything that leaves: clients of OpenAI's API take raw samples to have it."""


class Outlet:
    """One answer's sound, piece by piece.

    :param sample_rate: Hz of the pieces.
    :param speed: 0.25 to 4, at the same pitch.
    :param marks: put on, one after another, last of all.
    :param comment: written into the file where its format has a place for it.
    """

    def __init__(
        self, kind: str, sample_rate: int, speed: float = 1.0, marks: Sequence[Watermark] = (), comment: str = ""
    ) -> None:
        self._resampled = soxr.ResampleStream(sample_rate, RATE, 1, dtype="float32") if sample_rate != RATE else None
        self._tempo = Tempo(RATE, speed) if speed != 1 else None
        self._marks = marks
        self._encoder = encoder(kind, RATE, comment)

    def add(self, waveform: Waveform) -> bytes:
        """Return what can be sent now; may be nothing."""
        if self._resampled is not None:
            waveform = self._resampled.resample_chunk(waveform)
        if self._tempo is not None:
            waveform = self._tempo.add(waveform)
        return self._encoder.add(self._marked(waveform))

    def end(self) -> bytes:
        """Return the rest."""
        rest = np.zeros(0, dtype=np.float32)
        if self._resampled is not None:
            rest = self._resampled.resample_chunk(rest, last=True)
        if self._tempo is not None:
            rest = np.concatenate([self._tempo.add(rest), self._tempo.end()])
        return self._encoder.add(self._marked(rest)) + self._encoder.end()

    def with_length(self, file: bytes) -> bytes:
        """Return the file that was made, whose header now says how long it is; only where its format says so."""
        return self._encoder.with_length(file)

    def _marked(self, waveform: Waveform) -> Waveform:
        for mark in self._marks if len(waveform) else ():
            marked = mark(waveform)
            if np.shape(marked) != waveform.shape:
                raise EngineError(
                    f"a watermark returned sound of shape {np.shape(marked)} for {waveform.shape}; nothing may be added"
                )
            waveform = marked
        return waveform
