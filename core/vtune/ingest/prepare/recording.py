"""Cut one recording into clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vtune import audio
from vtune.audio.segmentation.edges import clip_spans
from vtune.audio.segmentation.segments import FRAME_SECONDS, Segment, Stretch
from vtune.errors import DataError
from vtune.ingest.prepare.analysis import LevelAnalysis, analyse_recording
from vtune.ingest.prepare.clip_audio import cut_clips
from vtune.ingest.prepare.clip_names import clip_name
from vtune.ingest.prepare.cut_records import CutRecord, CutSpan
from vtune.ingest.prepare.settings import CutSettings
from vtune.types import Audio


def prepare_recording(record: CutRecord, out: Path, settings: CutSettings) -> CutRecord:
    """Cut one recording, write its clips, and return its record, which has a ``reason`` if there are no clips."""
    path = Path(record.recording)
    try:
        analysis = analyse_recording(path, settings)
    except (DataError, OSError) as error:
        return replace(record, done=True, reason=_read_problem(path, error))
    record = replace(
        record, done=True, seconds=analysis.seconds, noise=float(analysis.noise.sum()) * analysis.hop / analysis.rate,
        rate=analysis.rate, channels=analysis.channels,
    )  # fmt: skip
    segments = analysis.segments(settings)
    if not segments:
        return replace(record, reason=f"no speech was found in {path} ({analysis.seconds:.1f} s)")
    lengths = settings.lengths.scaled(FRAME_SECONDS * analysis.rate / analysis.hop)
    spans = clip_spans(segments, analysis.powers, lengths)
    cuts = [_cut_span(analysis, segment, spans_of, settings) for segment, spans_of in zip(segments, spans, strict=True)]
    usable = [spans_of for spans_of, span in zip(spans, cuts, strict=True) if span.reason is None]
    names = iter([clip_name(record.stem, index) for index in range(len(usable))])
    cuts = [span if span.reason else replace(span, clip=next(names)) for span in cuts]
    try:
        clips = (span.clip for span in cuts if span.clip)
        for name, waveform in zip(clips, cut_clips(path, analysis, usable, settings), strict=True):
            rate = settings.sample_rate or analysis.rate
            audio.write_wav(out / name, [Audio(waveform, rate)], rate)
    except DataError as error:  # the recording changed between the two passes
        return replace(record, reason=_read_problem(path, error))
    return replace(record, cuts=cuts)


def _cut_span(analysis: LevelAnalysis, segment: Segment, spans: list[Stretch], settings: CutSettings) -> CutSpan:
    frame = analysis.hop / analysis.rate
    start, end = spans[0][0] * frame, min(spans[-1][1] * frame, analysis.seconds)
    seconds = min(sum(b - a for a, b in spans) * frame, analysis.seconds)
    min_seconds = settings.lengths.min_seconds
    too_short = f"{seconds:.2f} s is shorter than {min_seconds:g} s, and other speech is too far away"
    return CutSpan(None, start, end, seconds, segment.forced, too_short if seconds < min_seconds else None)


def _read_problem(path: Path, error: DataError | OSError) -> str:
    return f"{path} cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
