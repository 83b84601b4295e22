"""One recording to its clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vtune import audio
from vtune.audio.segmentation.edges import kept
from vtune.audio.segmentation.segments import FRAME, Segment, Stretch
from vtune.errors import DataError
from vtune.ingest.prepare.analysis import LevelAnalysis, listen
from vtune.ingest.prepare.cut import cut
from vtune.ingest.prepare.names import clip_name
from vtune.ingest.prepare.records import Cut, Record
from vtune.ingest.prepare.settings import Cutting
from vtune.types import Audio


def prepare_recording(record: Record, out: Path, cutting: Cutting) -> Record:
    """Cut one recording, write its clips, and return what became of it; a mistake in it is no error but a reason."""
    path = Path(record.recording)
    try:
        heard = listen(path, cutting)
    except (DataError, OSError) as error:
        return replace(record, done=True, reason=_told(path, error))
    record = replace(
        record, done=True, seconds=heard.seconds, noise=float(heard.noise.sum()) * heard.hop / heard.rate,
        rate=heard.rate, channels=heard.channels,
    )  # fmt: skip
    segments = heard.segments(cutting)
    if not segments:
        return replace(record, reason=f"{path} holds no speech that could be found ({heard.seconds:.1f} s)")
    wanted = cutting.wanted.scaled(FRAME * heard.rate / heard.hop)
    spans = kept(segments, heard.powers, wanted)
    cuts = [_cut(heard, segment, its, cutting) for segment, its in zip(segments, spans, strict=True)]
    usable = [its for its, one in zip(spans, cuts, strict=True) if one.reason is None]
    names = iter([clip_name(record.stem, index) for index in range(len(usable))])
    cuts = [one if one.reason else replace(one, clip=next(names)) for one in cuts]
    try:
        clips = (one.clip for one in cuts if one.clip)
        for name, waveform in zip(clips, cut(path, heard, usable, cutting), strict=True):
            rate = cutting.sample_rate or heard.rate
            audio.write_wav(out / name, [Audio(waveform, rate)], rate)
    except DataError as error:  # it changed between the passes
        return replace(record, reason=_told(path, error))
    return replace(record, cuts=cuts)


def _cut(heard: LevelAnalysis, segment: Segment, spans: list[Stretch], cutting: Cutting) -> Cut:
    frame = heard.hop / heard.rate
    start, end = spans[0][0] * frame, min(spans[-1][1] * frame, heard.seconds)
    seconds = min(sum(b - a for a, b in spans) * frame, heard.seconds)
    shortest = cutting.wanted.shortest
    reason = f"{seconds:.2f} s, less than {shortest:g} s, and too far from other speech" if seconds < shortest else None
    return Cut(None, start, end, seconds, segment.forced, reason)


def _told(path: Path, error: DataError | OSError) -> str:
    return f"{path} cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
