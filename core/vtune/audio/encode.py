"""Sound to a file's bytes while it is still being made: nothing is ever sought back to, so a pipe can have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import av

from vtune.audio.write import pcm16, wav_header
from vtune.types import Waveform

BIT_RATE = 64_000
"""Of what loses something: mono speech needs no more."""


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write sound as it comes.

    :param media_type: as HTTP names it.
    :param container: FFmpeg's name of the muxer; empty for what needs none.
    :param options: of the muxer, so that it writes at once and nothing twice.
    :param has_length: the header says how long the file is, so it can only be written at the end.
    """

    media_type: str
    container: str = ""
    codec: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    has_length: bool = False


FORMATS = {
    "mp3": Format("audio/mpeg", "mp3", "libmp3lame", {"write_xing": "0"}),
    "opus": Format("audio/ogg; codecs=opus", "ogg", "libopus", {"page_duration": "100000"}),  # microseconds
    "aac": Format("audio/aac", "adts", "aac"),
    "flac": Format("audio/flac", "flac", "flac", has_length=True),
    "wav": Format("audio/wav", has_length=True),
    "pcm": Format("audio/pcm"),
}
"""By the names that OpenAI's API gives them; ``pcm`` is little-endian 16 bit without a header."""


class Encoder(Protocol):
    """Takes mono sound piece by piece and gives the bytes of one file."""

    def add(self, waveform: Waveform) -> bytes:
        """Return what can be written now; may be nothing."""
        ...

    def end(self) -> bytes:
        """Return the rest of the file."""
        ...

    def with_length(self, file: bytes) -> bytes:
        """Return the file that was made, whose header now says how long it is; only where its format says so."""
        ...


def encoder(name: str, sample_rate: int, comment: str = "") -> Encoder:
    """Return a new encoder of a format.

    :param name: one of ``FORMATS``.
    :param sample_rate: Hz; Opus takes 8, 12, 16, 24 and 48 kHz.
    :param comment: written into the file where the format has a place for it.
    """
    made = FORMATS[name]
    if made.container:
        return _Packets(made, sample_rate, comment)
    return _Wav(sample_rate, comment) if name == "wav" else _Samples()


class _Samples:
    def add(self, waveform: Waveform) -> bytes:
        return bytes(pcm16(waveform).astype("<i2").tobytes())

    def end(self) -> bytes:
        return b""

    def with_length(self, file: bytes) -> bytes:
        return file


class _Wav(_Samples):
    def __init__(self, sample_rate: int, comment: str) -> None:
        self._rate, self._comment = sample_rate, comment
        self._header = wav_header(sample_rate, comment)
        self._is_begun = False

    def add(self, waveform: Waveform) -> bytes:
        return self._begin() + super().add(waveform)

    def end(self) -> bytes:
        return self._begin()

    def with_length(self, file: bytes) -> bytes:
        data_bytes = len(file) - len(self._header)
        return wav_header(self._rate, self._comment, data_bytes) + file[len(self._header) :]

    def _begin(self) -> bytes:
        header = b"" if self._is_begun else self._header
        self._is_begun = True
        return header


class _Sink:
    """What FFmpeg writes to; it cannot seek."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


class _Packets:
    def __init__(self, made: Format, sample_rate: int, comment: str) -> None:
        self._sink, self._name = _Sink(), made.codec
        options = {**made.options, "flush_packets": "1"}
        self._file = av.open(self._sink, "w", format=made.container, options=options)
        self._stream = self._file.add_stream(made.codec, rate=sample_rate, layout="mono")
        if made.codec != "flac":
            self._stream.bit_rate = BIT_RATE
        if comment:
            self._file.metadata["comment"] = comment
        self._file.start_encoding()  # or a file without sound would have no header either
        self._rate, self._samples = sample_rate, 0

    def add(self, waveform: Waveform) -> bytes:
        if len(waveform):
            frame = av.AudioFrame.from_ndarray(pcm16(waveform)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = self._rate, self._samples
            self._samples += len(waveform)
            self._file.mux(self._stream.encode(frame))
        return self._sink.take()

    def end(self) -> bytes:
        self._file.mux(self._stream.encode(None))
        self._file.close()
        return self._sink.take()

    def with_length(self, file: bytes) -> bytes:
        if self._name != "flac":
            return file
        # STREAMINFO, the first block, has the number of samples in the last 36 bits of these 8 bytes; 0 is unknown.
        place = slice(18, 26)
        told = int.from_bytes(file[place], "big") | self._samples
        return file[: place.start] + told.to_bytes(8, "big") + file[place.stop :]
