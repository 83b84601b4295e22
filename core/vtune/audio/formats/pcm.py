"""Samples without a header: little-endian, 16 bit, mono."""

from vtune.audio.write import pcm16
from vtune.types import AudioFormat, Waveform


class PcmEncoder:
    """Rounds samples to 16 bit."""

    def __init__(self, sample_rate: int, comment: str) -> None:
        """Keep nothing: samples alone say neither their rate nor a comment."""

    def add(self, waveform: Waveform) -> bytes:
        """Return the samples of one piece."""
        return bytes(pcm16(waveform).astype("<i2").tobytes())

    def end(self) -> bytes:
        """Return nothing."""
        return b""

    def with_length(self, file: bytes) -> bytes:
        """Return the file as it is."""
        return file


FORMAT = AudioFormat("pcm", "audio/pcm", "16 bit, mono, without a header", PcmEncoder)
