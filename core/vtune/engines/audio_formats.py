"""Find an audio format by its name or by a file's ending: vtune's own, and those of extensions."""

from __future__ import annotations

from pathlib import Path

from vtune.engines.contributions import extension_entries
from vtune.errors import VoiceError, choices
from vtune.types import AudioFormat


def audio_formats() -> dict[str, AudioFormat]:
    """Return every audio format by name. :raises EngineError: an extension is broken, or two have one name."""
    from vtune.audio import FORMATS  # PyAV and soundfile take longer to import than all engines

    return extension_entries("audio_formats", AudioFormat, FORMATS)


def audio_format_of(path: Path) -> AudioFormat:
    """Return the audio format that a file's ending names; WAV for a file without an ending.

    :raises VoiceError: no format has this ending.
    """
    name = path.suffix.lower().removeprefix(".") or "wav"
    formats = audio_formats()
    if name not in formats:
        raise VoiceError(f"{path}: no sound format has the ending .{name}{choices(name, formats, 'formats')}")
    return formats[name]
