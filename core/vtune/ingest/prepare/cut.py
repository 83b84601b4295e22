"""The second pass over a recording: its clips, one after the other, as they will be written.

Memory: the clip that is being collected, and a block of the recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soxr

from vtune import audio
from vtune.audio.segmentation.segments import Stretch
from vtune.ingest.prepare.analysis import LevelAnalysis
from vtune.ingest.prepare.settings import Cutting
from vtune.types import Waveform

FADE = 0.005
"""Seconds at both ends of a clip."""

JOINT = 0.01
"""Seconds over which two sides of a shortened pause run into each other."""


def cut(path: Path, heard: LevelAnalysis, clips: Sequence[Sequence[Stretch]], cutting: Cutting) -> Iterator[Waveform]:
    """Yield the clips of a recording: mono, at the rate and loudness that are wanted.

    :param clips: the spans of frames that each keeps, in their order.
    :raises DataError: the recording cannot be read any more.
    """
    ends = [len(spans) for spans in clips]
    ranges = [(start * heard.hop, _sample(end, heard)) for spans in clips for start, end in spans]
    with audio.opened(path) as recording:
        pieces = _ranges((heard.mixer.mix(block) for block in recording.blocks()), ranges)
        for count in ends:
            yield _finished(_joined([next(pieces) for _ in range(count)], heard.rate), heard.rate, cutting)


def _sample(frame: int, heard: LevelAnalysis) -> int:
    # The last frame may be followed by some samples that make no frame.
    return heard.samples if frame >= len(heard.powers) else frame * heard.hop


def _ranges(blocks: Iterator[Waveform], ranges: Sequence[Stretch]) -> Iterator[Waveform]:
    """Yield ranges of samples out of a stream of blocks; they are in order and do not overlap."""
    block, place = next(blocks, np.zeros(0, dtype=np.float32)), 0
    for start, end in ranges:
        parts = []
        while True:
            parts.append(block[max(start - place, 0) : max(end - place, 0)])
            if place + len(block) >= end:
                break
            place += len(block)
            block = next(blocks, np.zeros(0, dtype=np.float32))
            if not len(block):
                break
        yield np.concatenate(parts)


def _joined(pieces: Sequence[Waveform], rate: int) -> Waveform:
    whole = pieces[0]
    for piece in pieces[1:]:
        over = min(round(JOINT * rate), len(whole), len(piece))
        rise = np.linspace(0, 1, over, dtype=np.float32)
        whole = np.concatenate(
            [whole[: len(whole) - over], whole[len(whole) - over :] * (1 - rise) + piece[:over] * rise, piece[over:]]
        )
    return whole


def _finished(clip: Waveform, rate: int, cutting: Cutting) -> Waveform:
    wanted = cutting.sample_rate or rate
    if wanted != rate:
        clip = soxr.resample(clip, rate, wanted, quality="HQ").astype(np.float32)
    clip = audio.bring_to(clip, wanted, cutting.target_loudness, cutting.loudness)
    fade = min(round(FADE * wanted), len(clip) // 2)
    slope = np.linspace(0, 1, fade, dtype=np.float32)
    clip = clip.copy()
    clip[:fade] *= slope
    clip[len(clip) - fade :] *= slope[::-1]
    return clip
