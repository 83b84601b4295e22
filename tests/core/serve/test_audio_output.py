"""The sound of an engine is resampled, changed in tempo and encoded."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from vtune.errors import EngineError
from vtune.serve.audio_output import OUTPUT_SAMPLE_RATE, AudioOutput
from vtune.types import Waveform


def sent(output: AudioOutput, sound: Waveform, piece: int = 441) -> Waveform:
    parts = [output.add(sound[start : start + piece]) for start in range(0, len(sound), piece)]
    return np.frombuffer(b"".join([*parts, output.end()]), "<i2").astype(np.float32) / 32768


@pytest.fixture
def noise() -> Waveform:
    return np.random.default_rng(0).normal(0, 0.1, 22_050).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 22_050, 24_000, 44_100])
def test_everything_leaves_at_one_rate(noise: Waveform, rate: int) -> None:
    out = sent(AudioOutput("pcm", rate), noise)
    expected = soxr.resample(noise, rate, OUTPUT_SAMPLE_RATE) if rate != OUTPUT_SAMPLE_RATE else noise
    assert len(out) == len(expected)
    assert np.abs(out - expected).max() < 2e-3


def test_pieces_do_not_matter(noise: Waveform) -> None:
    for speed in (1.0, 1.5):
        in_pieces, other = (sent(AudioOutput("pcm", 22_050, speed), noise, piece) for piece in (441, 22_050))
        assert len(in_pieces) == len(other)
        assert np.abs(in_pieces - other).max() < 1e-3


def test_every_mark_is_put_on_what_leaves_and_on_nothing_twice(noise: Waveform) -> None:
    seen: list[Waveform] = []

    def first(sound: Waveform) -> Waveform:
        seen.append(sound)
        return sound + np.float32(0.25)

    def second(sound: Waveform) -> Waveform:
        return sound * np.float32(0.5)

    plain = sent(AudioOutput("pcm", OUTPUT_SAMPLE_RATE, 2.0), noise)
    out = sent(AudioOutput("pcm", OUTPUT_SAMPLE_RATE, 2.0, [first, second]), noise)
    assert sum(map(len, seen)) == len(out) == len(plain)
    assert np.abs(out - (plain + 0.25) * 0.5).max() < 1e-4


def test_a_mark_that_changes_the_length_is_no_mark(noise: Waveform) -> None:
    output = AudioOutput("pcm", OUTPUT_SAMPLE_RATE, watermarks=[lambda sound: sound[:-1]])
    with pytest.raises(EngineError, match="nothing may be added"):
        output.add(noise)
