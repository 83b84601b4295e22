"""Cut one recording into clips."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from vtune import audio
from vtune.audio.segmentation.edges import clip_spans
from vtune.audio.segmentation.segments import Segment, Stretch
from vtune.errors import DataError
from vtune.ingest.prepare.analysis import MIN_LEVEL_SNR_DB, LevelAnalysis, analyse_recording
from vtune.ingest.prepare.clip_audio import cut_clips
from vtune.ingest.prepare.clip_names import clip_name
from vtune.ingest.prepare.cut_records import CutRecord, CutSpan
from vtune.ingest.prepare.settings import CutSettings
from vtune.types import Audio

CUT_IN_SPEECH = "the clip begins or ends inside speech that never pauses"
LOST_IN_NOISE = "noise may hide the end of a word, which is then cut off"
NO_SPEECH = "it may hold music, noise or breaths, and no speech"
"""Doubts about a clip, for its line in the ledger."""


def prepare_recording(record: CutRecord, out: Path, settings: CutSettings) -> CutRecord:
    """Cut one recording, write its clips, and return its record, which has a ``reason`` if there are no clips."""
    path = Path(record.recording)
    try:
        analysis = analyse_recording(path, settings)
    except (DataError, OSError) as error:
        return replace(record, done=True, reason=_read_problem(path, error))
    record = replace(
        record, done=True, seconds=analysis.seconds, noise=float(analysis.noise.sum()) * analysis.hop / analysis.rate,
        rate=analysis.rate, channels=analysis.channels, snr=round(analysis.snr, 1), by_network=analysis.by_network,
        needs_network=analysis.needs_network,
    )  # fmt: skip
    spans, cuts = plan_cuts(analysis, settings)
    if not cuts:
        return replace(record, reason=f"no speech was found in {path} ({analysis.seconds:.1f} s)")
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


def plan_cuts(analysis: LevelAnalysis, settings: CutSettings) -> tuple[list[list[Stretch]], list[CutSpan]]:
    """Return, for each clip of a recording, the spans of frames that the clip keeps, and its place in the recording.

    A clip that is too short has a ``reason``; no clip has a name yet. In noise, two clips that meet in a short pause
    are doubtful: the pause may hold the faint end of one word or the faint beginning of the next.
    """
    segments, lengths = analysis.segments(settings), analysis.lengths(settings)
    spans = clip_spans(segments, analysis.powers, lengths)
    cuts = [_cut_span(analysis, segment, spans_of, settings) for segment, spans_of in zip(segments, spans, strict=True)]
    if analysis.snr < MIN_LEVEL_SNR_DB:
        meeting = {before.end for before, after in pairwise(cuts) if before.end == after.start}
        cuts = [
            replace(span, doubt=span.doubt or LOST_IN_NOISE) if meeting & {span.start, span.end} else span
            for span in cuts
        ]
    return spans, cuts


def _cut_span(analysis: LevelAnalysis, segment: Segment, spans: list[Stretch], settings: CutSettings) -> CutSpan:
    frame = analysis.hop / analysis.rate
    start, end = spans[0][0] * frame, min(spans[-1][1] * frame, analysis.seconds)
    seconds = min(sum(b - a for a, b in spans) * frame, analysis.seconds)
    least = settings.lengths.lone_seconds
    too_short = f"{seconds:.2f} s is shorter than {least:g} s, and other speech is too far away"
    doubt = _doubt(analysis, segment)
    return CutSpan(None, start, end, seconds, doubt, too_short if seconds < least else None)


def _doubt(analysis: LevelAnalysis, segment: Segment) -> str | None:
    """Return why a clip should be listened to first, or None."""
    if segment.forced:
        return CUT_IN_SPEECH
    if not analysis.by_network and analysis.snr < MIN_LEVEL_SNR_DB:
        return LOST_IN_NOISE
    begin, end = segment.stretches[0][0], segment.stretches[-1][1]
    if any(start < end and begin < stop for start, stop in analysis.doubtful):
        return NO_SPEECH
    return None


def _read_problem(path: Path, error: DataError | OSError) -> str:
    return f"{path} cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
