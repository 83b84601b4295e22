"""FFmpeg's codecs, which come inside PyAV: the program ffmpeg is not needed."""

from __future__ import annotations

from collections.abc import Iterator

from vtune.machine.finding import Finding, MachineCheck, ok, warning
from vtune.machine.this_machine import Machine

CODECS = ("mp3", "opus", "flac")


def run(machine: Machine) -> Iterator[Finding]:
    """Encode a short tone with each codec."""
    tried = machine.tried(*(f"encode {name}" for name in CODECS))
    broken = [name for name in CODECS if not tried[f"encode {name}"].works]
    if broken:
        yield warning(
            f"{', '.join(broken)} cannot be written: {tried[f'encode {broken[0]}'].problem}.",
            "pip install --force-reinstall --no-deps av soundfile",
        )
    else:
        yield ok(
            f"FFmpeg's codecs work (PyAV {machine.version('av')}): {', '.join(CODECS)}; no program ffmpeg is needed."
        )


CHECK = MachineCheck("ffmpeg", 70, "Can sound be read and written in all formats?", run)
