"""Cut the clips out of a recording in a second pass, at the sample rate and loudness in which they are written.

Memory: one clip and one block of the recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soxr

from vtune import audio
from vtune.audio.segmentation.segments import Stretch
from vtune.ingest.prepare.analysis import LevelAnalysis
from vtune.ingest.prepare.settings import CutSettings
from vtune.types import Waveform

FADE_SECONDS = 0.005
"""Seconds of fade-in and fade-out of a clip."""

CROSSFADE_SECONDS = 0.01
"""Seconds over which the two sides of a shortened pause are mixed."""


def cut_clips(
    path: Path, analysis: LevelAnalysis, clips: Sequence[Sequence[Stretch]], settings: CutSettings
) -> Iterator[Waveform]:
    """Yield the clips of a recording: mono ``float32 [samples]`` at the target rate and loudness.

    :param clips: for each clip, the spans of frames that it keeps, in ascending order.
    :raises DataError: the recording can no longer be read.
    """
    span_counts = [len(spans) for spans in clips]
    ranges = [(start * analysis.hop, _sample_of(end, analysis)) for spans in clips for start, end in spans]
    with audio.opened(path) as recording:
        pieces = _read_ranges((analysis.mixer.mix(block) for block in recording.blocks()), ranges)
        for count in span_counts:
            yield _finish_clip(_crossfade([next(pieces) for _ in range(count)], analysis.rate), analysis.rate, settings)


def _sample_of(frame: int, analysis: LevelAnalysis) -> int:
    # After the last frame there may be some samples that do not fill a frame.
    return analysis.samples if frame >= len(analysis.levels) else frame * analysis.hop


def _read_ranges(blocks: Iterator[Waveform], ranges: Sequence[Stretch]) -> Iterator[Waveform]:
    """Yield ranges of samples from a stream of blocks; the ranges are in ascending order and do not overlap."""
    block, offset = next(blocks, np.zeros(0, dtype=np.float32)), 0
    for start, end in ranges:
        parts = []
        while True:
            parts.append(block[max(start - offset, 0) : max(end - offset, 0)])
            if offset + len(block) >= end:
                break
            offset += len(block)
            block = next(blocks, np.zeros(0, dtype=np.float32))
            if not len(block):
                break
        yield np.concatenate(parts)


def _crossfade(pieces: Sequence[Waveform], rate: int) -> Waveform:
    joined = pieces[0]
    for piece in pieces[1:]:
        overlap = min(round(CROSSFADE_SECONDS * rate), len(joined), len(piece))
        rise = np.linspace(0, 1, overlap, dtype=np.float32)
        joined = np.concatenate(
            [
                joined[: len(joined) - overlap],
                joined[len(joined) - overlap :] * (1 - rise) + piece[:overlap] * rise,
                piece[overlap:],
            ]
        )
    return joined


def _finish_clip(clip: Waveform, rate: int, settings: CutSettings) -> Waveform:
    target_rate = settings.sample_rate or rate
    if target_rate != rate:
        clip = soxr.resample(clip, rate, target_rate, quality="HQ").astype(np.float32)
    clip = audio.bring_to(clip, target_rate, settings.target_loudness, settings.loudness)
    fade = min(round(FADE_SECONDS * target_rate), len(clip) // 2)
    slope = np.linspace(0, 1, fade, dtype=np.float32)
    clip = clip.copy()
    clip[:fade] *= slope
    clip[len(clip) - fade :] *= slope[::-1]
    return clip
