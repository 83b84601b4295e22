"""Formats of the speech that leaves vtune, one module each; a new module here is a new response format.

The module declares ``FORMAT``, a ``vtune.AudioFormat``. Request schema, OpenAPI page, error texts and the endings that
``vtune say`` knows follow from it. Extensions add formats by the hook ``audio_formats``.
"""

from collections.abc import Iterable
from pathlib import Path

from vtune.audio.encode import write_encoded
from vtune.audio.write import write_wav
from vtune.runtime.registry import read_registry
from vtune.types import Audio, AudioFormat

FORMATS = read_registry(__name__, "FORMAT", AudioFormat)
"""vtune's own audio formats by name, most of them under the names of OpenAI's API."""


def write_speech(
    path: Path, audio_format: AudioFormat, pieces: Iterable[Audio], sample_rate: int, comment: str = ""
) -> float:
    """Write a sound file; return its seconds.

    :param comment: kept in the file.
    :raises VtuneError: the disk cannot be written.
    """
    if audio_format is FORMATS["wav"]:
        return write_wav(path, pieces, sample_rate, comment)  # as pieces arrive
    return write_encoded(path, audio_format, pieces, sample_rate, comment)
