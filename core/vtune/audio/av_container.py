"""Read the sound of M4A, MP4, WebM, Matroska, WMA and similar files with FFmpeg, through PyAV."""

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
"""File name endings of these files."""

ERRORS = (av.error.FFmpegError,)

# Only formats that contain their sound: a playlist could name any other file, or an address. Formats whose cut files
# libsndfile refuses are left out too, because FFmpeg reads them up to the cut without an error.
FORMATS = "mov,matroska,asf,aac,ac3,eac3,amr,avi,flv,mpegts,mpeg,wv,ape,tta,wav,aiff"


av.logging.set_level(None)  # FFmpeg's messages name no file; errors are raised anyway


class FFmpegStream:
    """The first sound track of a file that FFmpeg has opened."""

    can_seek = False

    def __init__(self, container: Any) -> None:
        track = next(iter(container.streams.audio), None)
        if track is None:
            raise ValueError("the file has no sound")
        frames = container.decode(track)
        # Only decoding shows the true rate: a header may state the rate of the core below an extended band.
        first = next(frames, None)
        self.rate: int = first.sample_rate if first else track.codec_context.sample_rate
        self.channels: int = first.layout.nb_channels if first else track.codec_context.layout.nb_channels
        self.header_seconds = _header_seconds(container, track)
        self._layout = first.layout.name if first else "mono"
        self._frames = chain([first] if first else [], frames)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all blocks, ``float32 [samples, channels]``."""
        # Frames may change their format on the way; the format of the first frame is used for all.
        resampler = av.AudioResampler("flt", self._layout, self.rate)
        for frame in chain(self._frames, [None]):
            for piece in resampler.resample(frame):
                yield piece.to_ndarray().reshape(-1, self.channels)

    def seek(self, sample: int) -> None:
        """Refuse: packets say at which time their sound is played, not always at which sample the sound begins."""
        raise ValueError("the file is read from its beginning")


@contextmanager
def opened(file: Path | IO[bytes]) -> Iterator[FFmpegStream]:
    """Open a file. :raises FFmpegError: FFmpeg cannot read the file; ValueError: the file has no sound."""
    with open(file, "rb") if isinstance(file, Path) else nullcontext(file) as encoded:
        encoded.seek(0)
        with av.open(encoded, options={"format_whitelist": FORMATS}) as container:
            yield FFmpegStream(container)


def _header_seconds(container: Any, track: Any) -> float | None:
    """Return the length in seconds if the header states it; without an index, FFmpeg only guesses from the bit rate."""
    if track.duration and container.format.name.partition(",")[0] in {"mov", "wav", "aiff"}:
        return float(track.duration * track.time_base)
    if container.duration and "matroska" in container.format.name and len(container.streams) == 1:
        return float(container.duration / av.time_base)
    return None
