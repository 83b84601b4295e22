"""WAV with 16-bit samples, lossless."""

from vtune.audio.formats.pcm import PcmEncoder
from vtune.audio.write import wav_header
from vtune.types import AudioFormat, Waveform


class _WavEncoder(PcmEncoder):
    def __init__(self, sample_rate: int, comment: str) -> None:
        super().__init__(sample_rate, comment)
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


FORMAT = AudioFormat("wav", "audio/wav", "16 bit, mono", _WavEncoder, has_length=True)
