"""Clips of a recording do not overlap, no speech is left out, and the seconds add up, whatever the recording holds."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vtune.audio.segmentation.energy import find_stretches
from vtune.ingest.prepare import CutSettings, PrepareReport
from vtune.ingest.prepare.analysis import MAX_WORD_GAP_SECONDS, analyse_recording
from vtune.ingest.prepare.cut_records import CutRecord
from vtune.ingest.prepare.recording import prepare_recording
from vtune.recipe import PrepareRecipe

RATE = 8_000
PIECES = st.lists(
    st.tuples(st.sampled_from(["voice", "whisper", "noise", "click"]), st.floats(0.05, 9), st.floats(0.05, 9)),
    max_size=7,
)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PIECES, st.sampled_from([None, 0.5, 2.0]), st.floats(0, 0.02))
def test_every_second_is_in_one_place(
    talk: Callable[..., np.ndarray], pieces: list[tuple[str, float, float]], min_seconds: float | None, room: float
) -> None:
    random = np.random.default_rng(0)
    sounds = [np.zeros(RATE // 2)]
    for kind, seconds, pause in pieces:
        level = {"voice": 0.1, "whisper": 0.01}.get(kind)
        sounds.append(
            0.1 * random.standard_normal(round((seconds if kind == "noise" else 0.03) * RATE))
            if level is None
            else talk([(0, seconds)], seconds, RATE, level, depth=0.97)
        )
        sounds.append(np.zeros(round(pause * RATE)))
    sound = np.concatenate(sounds)
    sound += room * random.standard_normal(len(sound))
    cutting = CutSettings.from_recipe(PrepareRecipe(vad=False, min_seconds=min_seconds), RATE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.wav"
        soundfile.write(path, sound, RATE)
        analysis = analyse_recording(path, cutting)
        record = prepare_recording(CutRecord(str(path), "", "a"), Path(folder), cutting)
        written = sum(soundfile.info(clip).frames for clip in Path(folder).glob("a_*.wav")) / RATE
    report = PrepareReport()
    report.add(record)
    assert report.seconds == pytest.approx(len(sound) / RATE)
    assert report.kept + sum(report.left_out.values()) == pytest.approx(report.seconds, abs=0.01)
    assert all(seconds >= -1e-6 for seconds in report.left_out.values())
    # A pause that was shortened loses 10 ms to the crossfade.
    assert written == pytest.approx(report.kept, abs=0.011 * len(pieces) + 0.001)
    assert all(before.end <= after.start + 1e-9 for before, after in itertools.pairwise(record.cuts))
    assert all(span.clip or span.reason for span in record.cuts)
    frame = analysis.hop / analysis.rate
    for start, end in find_stretches(analysis.mask, MAX_WORD_GAP_SECONDS):
        parts = [(max(span.start, start * frame), min(span.end, end * frame)) for span in record.cuts]
        assert sum(max(0.0, last - first) for first, last in parts) == pytest.approx((end - start) * frame, abs=1e-6)
