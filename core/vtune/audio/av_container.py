"""What FFmpeg reads beside: the sound of M4A, MP4, WebM, Matroska, WMA and the like, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import IO, Any

import av
import numpy as np

SUFFIXES = frozenset(
    {".m4a", ".m4b", ".mp4", ".mov", ".3gp", ".aac", ".webm", ".mka", ".mkv", ".wma", ".amr", ".avi", ".ac3"}
)
"""File name endings."""

ERRORS = (av.error.FFmpegError,)

# Of all that FFmpeg reads, what holds its own sound: a playlist could name any other file, or an address. And not what
# libsndfile refuses for being cut off, which FFmpeg would read as far as it goes without a word.
FORMATS = "mov,matroska,asf,aac,ac3,eac3,amr,avi,flv,mpegts,mpeg,wv,ape,tta,wav,aiff"


class FilmStream:
    """The first sound track of a file that FFmpeg has opened."""

    def __init__(self, container: Any) -> None:
        track = next(iter(container.streams.audio), None)
        if track is None:
            raise ValueError("it has no sound")
        frames = container.decode(track)
        # Only decoding tells what is there: a header may give the rate of the core beneath an extended band.
        first = next(frames, None)
        self.rate: int = first.sample_rate if first else track.codec_context.sample_rate
        self.channels: int = first.layout.nb_channels if first else track.codec_context.layout.nb_channels
        self.promised = _promised(container, track)
        self._layout = first.layout.name if first else "mono"
        self._frames = chain([first] if first else [], frames)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield blocks ``float32 [samples, channels]`` until there are no more."""
        # Frames may change their form on the way; the first one's stands for all.
        even = av.AudioResampler("flt", self._layout, self.rate)
        for frame in chain(self._frames, [None]):
            for piece in even.resample(frame):
                yield piece.to_ndarray().reshape(-1, self.channels)


@contextmanager
def opened(file: Path | IO[bytes]) -> Iterator[FilmStream]:
    """Open a file. :raises FFmpegError: not one of FFmpeg's; ValueError: it has no sound."""
    with open(file, "rb") if isinstance(file, Path) else nullcontext(file) as encoded:
        encoded.seek(0)
        with av.open(encoded, options={"format_whitelist": FORMATS}) as container:
            yield FilmStream(container)


def _promised(container: Any, track: Any) -> float | None:
    """Seconds, where the container knows: those of streams without an index are guessed from the bit rate."""
    if track.duration and container.format.name.partition(",")[0] in {"mov", "wav", "aiff"}:
        return float(track.duration * track.time_base)
    if container.duration and "matroska" in container.format.name and len(container.streams) == 1:
        return float(container.duration / av.time_base)
    return None
