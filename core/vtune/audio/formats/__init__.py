"""Formats of the speech that leaves vtune, one module each; a new module here is a new response format.

The module declares ``FORMAT``, a ``vtune.audio.encode.AudioFormat``. Request schema, OpenAPI page, error texts and the
endings that ``vtune say`` knows follow from it.
"""

from collections.abc import Iterable
from pathlib import Path

from vtune.audio.encode import AudioFormat, write_encoded
from vtune.audio.write import write_wav
from vtune.errors import VoiceError, choices
from vtune.runtime.registry import read_registry
from vtune.types import Audio

FORMATS = read_registry(__name__, "FORMAT", AudioFormat)
"""Audio formats by name, most of them under the names of OpenAI's API."""


def format_of(path: Path) -> AudioFormat:
    """Return the audio format that a file's ending names; WAV for a file without an ending.

    :raises VoiceError: no format has this ending.
    """
    name = path.suffix.lower().removeprefix(".") or "wav"
    if name not in FORMATS:
        raise VoiceError(f"{path}: no sound format has the ending .{name}{choices(name, FORMATS, 'formats')}")
    return FORMATS[name]


def write_speech(path: Path, pieces: Iterable[Audio], sample_rate: int, comment: str = "") -> float:
    """Write a sound file in the format of its ending; return its seconds.

    :param comment: kept in the file.
    :raises VoiceError: no format has this ending; VtuneError: the disk cannot be written.
    """
    audio_format = format_of(path)
    if audio_format.name == "wav":
        return write_wav(path, pieces, sample_rate, comment)  # as pieces arrive
    return write_encoded(path, audio_format, pieces, sample_rate, comment)
