"""Write and read names of clips that are parts of recordings: ``talk.wav#t=12.5,15.25``, the W3C's media fragments.

The functions that read sound take both kinds of names: the path of a recording, and a part of one.
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

from vtune import audio
from vtune.audio import RecordingPart
from vtune.types import Waveform

_SECONDS = r"\d{1,9}(?:\.\d{1,3})?"
_FRAGMENT = re.compile(
    rf"#t=(?P<start>{_SECONDS})(?:,(?P<end>{_SECONDS}))?"
    rf"(?:&after=(?P<after>{_SECONDS}))?(?:&before=(?P<before>{_SECONDS}))?"
)


def fragment_name(recording: str, part: RecordingPart) -> str:
    """Return the name of a part of a recording.

    Example: ``talk.wav#t=12.5,15.25&before=15.3``, if the next part begins 0.05 s after this part ends. A part up to
    the end of its recording has one time: ``talk.wav#t=12.5``.
    """
    end = "" if part.end is None else f",{_written(part.end)}"
    after = "" if part.after is None else f"&after={_written(part.after)}"
    before = "" if part.before is None else f"&before={_written(part.before)}"
    return f"{recording}#t={_written(part.start)}{end}{after}{before}"


def split_fragment(name: str) -> tuple[str, RecordingPart | None]:
    """Return the path of the recording, and the part of it that a name says; None for a whole recording.

    A recording's name ends with one of ``audio.SUFFIXES``, so no file is taken for a part.
    """
    recording, mark, _ = name.rpartition("#t=")
    match = _FRAGMENT.fullmatch(name, len(recording)) if mark else None
    if match is None or os.path.splitext(recording)[1].lower() not in audio.SUFFIXES:
        return name, None
    start, end, after, before = (None if text is None else float(text) for text in match.groups())
    return recording, RecordingPart(start or 0.0, end, after, before)


def recording_path(name: str) -> Path:
    """Return the path of the recording that a clip is, or is a part of."""
    return Path(split_fragment(name)[0])


def without_neighbours(name: str) -> str:
    """Return the name of a clip with its own times only; it stays the same when other rows come and go."""
    recording, part = split_fragment(name)
    return name if part is None else fragment_name(recording, RecordingPart(part.start, part.end))


def clip_stem(name: str) -> str:
    """Return the file name of a clip without its ending; of a part with its times: ``talk_12.5-15.25``."""
    recording, part = split_fragment(name)
    stem = os.path.splitext(os.path.basename(recording))[0]
    if part is None:
        return stem
    return f"{stem}_{_written(part.start)}-" + ("end" if part.end is None else _written(part.end))


def clip_seconds(name: str) -> float:
    """Return the seconds of a clip, from the header and its times.

    :raises DataError: the recording cannot be read, or ends before the part.
    """
    recording, part = split_fragment(name)
    if part is None:
        return audio.seconds_of(Path(recording))
    start, end = audio.part_bounds(Path(recording), part)
    return end - start


def clip_rate(name: str) -> int:
    """Return the sample rate of a clip in Hz. :raises DataError: the recording cannot be read."""
    recording, part = split_fragment(name)
    return audio.rate_of(Path(recording)) if part is None else audio.header_of(Path(recording))[0]


def clip_digest(name: str) -> str:
    """Return the SHA-256 of a recording's bytes; of a part, of the recording's hash and the times.

    :raises DataError: the recording cannot be read.
    """
    recording, part = split_fragment(name)
    if part is None:
        return audio.digest_of(Path(recording))
    return sha256((audio.cached_digest_of(Path(recording)) + fragment_name("", part)).encode()).hexdigest()


def read_clip(name: str, sample_rate: int | None = None) -> tuple[Waveform, int]:
    """Read a clip as mono at a sample rate, default its own; return ``float32 [samples]`` and the rate in Hz.

    :raises DataError: the recording cannot be read, or ends before the part.
    """
    recording, part = split_fragment(name)
    if part is None:
        rate = audio.rate_of(Path(recording)) if sample_rate is None else sample_rate
        return audio.read(Path(recording), rate), rate
    waveform, rate = audio.read_part(Path(recording), part)
    if sample_rate in (None, rate):
        return waveform, rate
    return audio.to_mono(waveform, rate, sample_rate, name), sample_rate


def _written(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")
