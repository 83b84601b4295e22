from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune import audio
from vtune.audio.segmentation.edges import clip_spans
from vtune.ingest.prepare import CutSettings
from vtune.ingest.prepare.analysis import analyse_recording
from vtune.ingest.prepare.clip_audio import _read_ranges, cut_clips
from vtune.recipe import PrepareRecipe

RATE = 16_000


def cutting(sample_rate: int | None = None, **values: object) -> CutSettings:
    return CutSettings.from_recipe(PrepareRecipe.model_validate(values), sample_rate)


@settings(deadline=None)
@given(st.data())
def test_ranges_are_what_slices_of_the_whole_are(data: st.DataObject) -> None:
    samples = np.arange(data.draw(st.integers(1, 60)), dtype=np.float32)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(samples)), max_size=8)))
    blocks = [samples[a:b] for a, b in pairwise([0, *cuts, len(samples)]) if b > a]
    edges = sorted(data.draw(st.sets(st.integers(0, len(samples)), max_size=8)))
    ranges = list(zip(edges[::2], edges[1::2], strict=False))
    result = list(_read_ranges(iter(blocks), ranges))
    assert [piece.tolist() for piece in result] == [samples[a:b].tolist() for a, b in ranges]


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 384_000])
def test_clips_are_what_was_said_at_that_time(tmp_path: Path, talk: Callable[..., np.ndarray], rate: int) -> None:
    """At 44,100 Hz, ten milliseconds are not a whole number of the samples that the meter uses; times must not
    drift.
    """
    spans = [(1 + 15 * n, 7 + 15 * n) for n in range(4)]
    sound = talk(spans, 60, rate)
    soundfile.write(tmp_path / "a.wav", sound, rate, subtype="FLOAT")
    asked = cutting()
    analysis = analyse_recording(tmp_path / "a.wav", asked)
    clips = clip_spans(analysis.segments(asked), analysis.powers, asked.lengths)
    assert len(clips) == len(spans)
    for (start, end), ((first, last),), clip in zip(
        spans, clips, cut_clips(tmp_path / "a.wav", analysis, clips, asked), strict=True
    ):
        assert start - 0.2 < first * analysis.hop / rate < start - 0.03
        assert end + 0.03 < last * analysis.hop / rate < end + 0.2
        original = sound[first * analysis.hop : last * analysis.hop]
        assert len(clip) == len(original)
        fade = round(0.005 * rate)
        gain = clip[fade:-fade] @ original[fade:-fade] / (original[fade:-fade] @ original[fade:-fade])
        np.testing.assert_allclose(clip[fade:-fade], gain * original[fade:-fade], atol=1e-5)
        assert clip[0] == clip[-1] == 0
        assert audio.speech_level(clip, rate) == pytest.approx(-20, abs=0.05)


def test_a_long_pause_inside_a_clip_is_shortened_without_a_click(
    tmp_path: Path, talk: Callable[..., np.ndarray]
) -> None:
    soundfile.write(tmp_path / "a.wav", talk([(1, 3), (7, 9)], 10, RATE), RATE, subtype="FLOAT")
    asked = cutting()
    analysis = analyse_recording(tmp_path / "a.wav", asked)
    (spans,) = clip_spans(analysis.segments(asked), analysis.powers, asked.lengths)
    assert len(spans) == 2
    (clip,) = cut_clips(tmp_path / "a.wav", analysis, [spans], asked)
    assert 4.6 < len(clip) / RATE < 5.4
    quiet = clip[int(2.2 * RATE) : int(2.6 * RATE)]
    assert np.abs(quiet).max() < 0.002
    assert audio.rms_dbfs(quiet) == pytest.approx(audio.rms_dbfs(quiet[:2000]), abs=3)


@pytest.mark.parametrize("sample_rate", [16_000, 24_000, 44_100])
def test_the_rate_is_the_one_that_is_wanted(recording: Callable[..., Path], sample_rate: int) -> None:
    path = recording(rate=22_050)
    asked = cutting(sample_rate)
    analysis = analyse_recording(path, asked)
    clips = clip_spans(analysis.segments(asked), analysis.powers, asked.lengths)
    for spans, clip in zip(clips, cut_clips(path, analysis, clips, asked), strict=True):
        seconds = sum(end - start for start, end in spans) * analysis.hop / 22_050
        assert len(clip) / sample_rate == pytest.approx(seconds, abs=2 / sample_rate)


def test_opposite_channels_are_heard_and_kept(tmp_path: Path, talk: Callable[..., np.ndarray]) -> None:
    sound = talk([(1, 6)], 8, RATE)
    soundfile.write(tmp_path / "a.wav", np.stack([sound, -0.8 * sound], axis=1), RATE, subtype="FLOAT")
    asked = cutting(target_loudness=-26)
    analysis = analyse_recording(tmp_path / "a.wav", asked)
    clips = clip_spans(analysis.segments(asked), analysis.powers, asked.lengths)
    (clip,) = cut_clips(tmp_path / "a.wav", analysis, clips, asked)
    assert audio.speech_level(clip, RATE) == pytest.approx(-26, abs=0.05)
    ((first, last),) = clips[0]
    assert abs(np.corrcoef(clip, sound[first * analysis.hop : last * analysis.hop])[0, 1]) > 0.99


@pytest.mark.parametrize("level", [0.3, 0.01, 0.0005])
def test_a_fixed_threshold_counts_from_the_target(
    tmp_path: Path, talk: Callable[..., np.ndarray], level: float
) -> None:
    """The option comes from a guide that normalises the recording before splitting it."""
    soundfile.write(tmp_path / "a.wav", talk([(1, 5), (7, 11)], 12, RATE, level), RATE, subtype="FLOAT")
    analysis = analyse_recording(tmp_path / "a.wav", cutting(silence_threshold=-40))
    assert len(analysis.segments(cutting(silence_threshold=-40))) == (2 if level > 0.001 else 1)


def test_noise_and_silence_hold_no_speech(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, sound in {
        "noise": 0.1 * random.standard_normal(10 * RATE),
        "silence": np.zeros(10 * RATE),
        "dither": random.integers(-1, 2, 10 * RATE) / 32768,
        "hum": 0.1 * np.sin(2 * np.pi * 50 * np.arange(10 * RATE) / RATE),
    }.items():
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE)
        assert not analyse_recording(tmp_path / f"{name}.wav", cutting()).segments(cutting()), name
