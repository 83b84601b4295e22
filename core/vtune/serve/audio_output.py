"""Turn an engine's sound into the bytes that a client gets: resampled, at the requested speed, marked, encoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import soxr

from vtune.audio import Tempo
from vtune.engines import audio_formats
from vtune.errors import EngineError
from vtune.types import Watermark, Waveform

OUTPUT_SAMPLE_RATE = 24_000
"""Hz of all sound that leaves the server: clients of OpenAI's API expect it of raw samples."""


def output_rate(response_format: str) -> int:
    """Return the sample rate in Hz of sound in a format: 24 kHz, unless the format cannot have it."""
    return audio_formats()[response_format].rate_for(OUTPUT_SAMPLE_RATE)


class AudioOutput:
    """Encodes the sound of one response, piece by piece.

    :param response_format: a name in ``audio_formats()``.
    :param sample_rate: of the pieces, in Hz.
    :param speed: 0.25 to 4, at the same pitch.
    :param watermarks: applied one after another to the resampled sound, just before it is encoded.
    :param comment: written into the file if its format can hold a comment.
    """

    def __init__(
        self,
        response_format: str,
        sample_rate: int,
        speed: float = 1.0,
        watermarks: Sequence[Watermark] = (),
        comment: str = "",
    ) -> None:
        rate = output_rate(response_format)
        self._resampled = soxr.ResampleStream(sample_rate, rate, 1, dtype="float32") if sample_rate != rate else None
        self._tempo = Tempo(rate, speed) if speed != 1 else None
        self._watermarks = watermarks
        self._encoder = audio_formats()[response_format].encoder(rate, comment)

    def add(self, waveform: Waveform) -> bytes:
        """Return the bytes that can be sent now; there may be none."""
        if self._resampled is not None:
            waveform = self._resampled.resample_chunk(waveform)
        if self._tempo is not None:
            waveform = self._tempo.add(waveform)
        return self._encoder.add(self._marked(waveform))

    def end(self) -> bytes:
        """Return the last bytes."""
        last_samples = np.zeros(0, dtype=np.float32)
        if self._resampled is not None:
            last_samples = self._resampled.resample_chunk(last_samples, last=True)
        if self._tempo is not None:
            last_samples = np.concatenate([self._tempo.add(last_samples), self._tempo.end()])
        return self._encoder.add(self._marked(last_samples)) + self._encoder.end()

    def with_length(self, file: bytes) -> bytes:
        """Return the finished file with its length in the header, where the format's header has a length."""
        return self._encoder.with_length(file)

    def _marked(self, waveform: Waveform) -> Waveform:
        for watermark in self._watermarks if len(waveform) else ():
            marked = watermark(waveform)
            if np.shape(marked) != waveform.shape:
                raise EngineError(
                    f"a watermark returned sound of shape {np.shape(marked)} for {waveform.shape}; nothing may be added"
                )
            waveform = marked
        return waveform
