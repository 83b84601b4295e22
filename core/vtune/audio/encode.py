"""Encode sound piece by piece while it is synthesised; encoders never seek, so pipes and sockets can take the bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import soxr

from vtune.audio.write import pcm16
from vtune.runtime.paths import new_file
from vtune.types import Audio, AudioFormat, Waveform

BITS_PER_SECOND = 64_000
"""Bit rate of the lossy formats; mono speech needs no more."""


def write_encoded(
    path: Path, audio_format: AudioFormat, pieces: Iterable[Audio], sample_rate: int, comment: str = ""
) -> float:
    """Write a sound file as pieces arrive, under a temporary name until the last piece; return its seconds.

    :raises VtuneError: the disk cannot be written.
    """
    rate = audio_format.rate_for(sample_rate)
    resampler = soxr.ResampleStream(sample_rate, rate, 1, dtype="float32") if rate != sample_rate else None
    encoder = audio_format.encoder(rate, comment)
    samples, chunks = 0, []
    with new_file(path) as aside:
        for piece in pieces:
            samples += len(piece.waveform)
            chunks.append(encoder.add(resampler.resample_chunk(piece.waveform) if resampler else piece.waveform))
        if resampler:
            chunks.append(encoder.add(resampler.resample_chunk(np.zeros(0, np.float32), last=True)))
        chunks.append(encoder.end())
        aside.write_bytes(encoder.with_length(b"".join(chunks)))
    return samples / sample_rate


class FFmpegEncoder:
    """Encodes with one of FFmpeg's codecs into one of its containers.

    :param container: FFmpeg's name of the muxer.
    :param codec: FFmpeg's name of the encoder.
    :param options: options of the muxer, so that it writes at once and never seeks.
    """

    def __init__(
        self,
        sample_rate: int,
        comment: str,
        *,
        container: str,
        codec: str,
        bit_rate: int | None = BITS_PER_SECOND,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self._sink = _Sink()
        self._file = av.open(self._sink, "w", format=container, options={**(options or {}), "flush_packets": "1"})
        self._stream = self._file.add_stream(codec, rate=sample_rate, layout="mono")
        if bit_rate is not None:
            self._stream.bit_rate = bit_rate
        if comment:
            self._file.metadata["comment"] = comment
        self._file.start_encoding()  # otherwise a file without sound would have no header
        self._rate = sample_rate
        self.samples = 0
        """The number of samples that were added."""

    def add(self, waveform: Waveform) -> bytes:
        """Encode one piece."""
        if len(waveform):
            frame = av.AudioFrame.from_ndarray(pcm16(waveform)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = self._rate, self.samples
            self.samples += len(waveform)
            self._file.mux(self._stream.encode(frame))
        return self._sink.take()

    def end(self) -> bytes:
        """Flush codec and container."""
        self._file.mux(self._stream.encode(None))
        self._file.close()
        return self._sink.take()

    def with_length(self, file: bytes) -> bytes:
        """Return the file as it is."""
        return file


class LibsndfileEncoder:
    """Encodes with libsndfile, whose package has codecs that FFmpeg's package lacks."""

    def __init__(self, sample_rate: int, comment: str, *, container: str, codec: str) -> None:
        self._sink = _SeekableSink()
        self._file = soundfile.SoundFile(
            self._sink, "w", samplerate=sample_rate, channels=1, format=container, subtype=codec
        )
        if comment:
            self._file.comment = comment

    def add(self, waveform: Waveform) -> bytes:
        """Encode one piece."""
        if len(waveform):
            self._file.write(waveform)
        return self._sink.take()

    def end(self) -> bytes:
        """Flush the codec."""
        self._file.close()
        return self._sink.take()

    def with_length(self, file: bytes) -> bytes:
        """Return the file as it is."""
        return file


class _Sink:
    """The file that FFmpeg writes to; without a seek method, FFmpeg never seeks."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._position = 0

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._position += len(data)
        return len(data)

    def take(self) -> bytes:
        chunk, self._parts = b"".join(self._parts), []
        return chunk


class _SeekableSink(_Sink):
    """The file that libsndfile writes to: libsndfile asks for the length once, and then writes in order only."""

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._position

    def tell(self) -> int:
        return self._position
