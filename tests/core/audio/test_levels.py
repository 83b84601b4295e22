"""Levels of speech, and the limiter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vtune import audio

RATE = 16_000
CEILING = 10 ** (-1 / 20)


def sine(hertz: float, seconds: float, level: float) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def decibel(sound: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(sound.astype(np.float64)))))


@pytest.mark.parametrize("loudness", [-40, -26, -20, -10])
@pytest.mark.parametrize("level", [1e-4, 0.01, 0.5, 1.0])
def test_loudness_is_reached_by_one_gain_where_peaks_allow(loudness: float, level: float) -> None:
    sound = sine(440, 1, level)
    brought = audio.bring_to(sound, RATE, loudness)
    assert decibel(brought) == pytest.approx(loudness, abs=0.01)
    np.testing.assert_allclose(brought / np.abs(brought).max(), sound / np.abs(sound).max(), atol=1e-5)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("floor", [0, 1e-4])
def test_pauses_do_not_count(share: float, floor: float) -> None:
    """The level of speech stays the same with 3 s of silence around it, or with pauses that take a share of it."""
    random = np.random.default_rng(0)
    speech = sine(300, 3, 0.2)
    pause = (floor * random.standard_normal(int(3 * share / (1 - share) * RATE) // 320 * 320)).astype(np.float32)
    sound = np.concatenate([speech[: len(speech) // 2], pause, speech[len(speech) // 2 :]])
    assert audio.speech_level(sound, RATE) == pytest.approx(decibel(speech), abs=0.05)


def test_a_quiet_passage_of_speech_counts() -> None:
    """A difference of 12 dB between loud and soft vowels is speech, not a pause."""
    sound = np.concatenate([sine(300, 1, 0.2), sine(300, 1, 0.05)])
    assert audio.speech_level(sound, RATE) == pytest.approx(decibel(sound), abs=0.05)


def test_peaks_are_held_by_a_gain_that_is_one_again_elsewhere() -> None:
    sound = sine(440, 1, 0.01)
    sound[8000] = -0.9
    brought = audio.bring_to(sound, RATE, -30)
    free = sound * 10 ** ((-30 - audio.speech_level(sound, RATE)) / 20)
    assert np.abs(free).max() > CEILING  # else nothing is shown
    assert np.abs(brought).max() == pytest.approx(CEILING, abs=1e-4)
    far = np.abs(np.arange(RATE) - 8000) > 2 * 0.02 * RATE + 2
    np.testing.assert_allclose(brought[far], free[far], rtol=1e-4)
    near = ~far & (np.abs(free) > 1e-4)
    gain = brought[near] / free[near]
    assert np.abs(np.diff(gain)).max() < 0.05  # no step: a clipped peak would be one


def test_a_limited_tone_keeps_its_form() -> None:
    """A clipper adds odd harmonics at -10 to -20 dB; a gain that is constant over a period adds almost none."""
    loud = sine(120, 1, 2.0)
    spectrum = np.abs(np.fft.rfft(audio.limit(loud, RATE)[RATE // 4 : -RATE // 4] * np.hanning(RATE // 2)))
    clipped = np.abs(np.fft.rfft(np.clip(loud, -CEILING, CEILING)[RATE // 4 : -RATE // 4] * np.hanning(RATE // 2)))
    tone, third = 60, 180
    assert 20 * np.log10(spectrum[third] / spectrum[tone]) < -50
    assert 20 * np.log10(clipped[third] / clipped[tone]) > -20


def test_what_is_under_the_ceiling_is_not_touched() -> None:
    sound = sine(200, 0.5, CEILING)
    assert audio.limit(sound, RATE) is sound


def test_silence_stays_silence() -> None:
    silence = np.zeros(100, dtype=np.float32)
    np.testing.assert_array_equal(audio.bring_to(silence, RATE, -20), silence)
    assert audio.rms_dbfs(silence) == float("-inf")
    assert len(audio.bring_to(np.zeros(0, dtype=np.float32), RATE, -20)) == 0


@pytest.mark.parametrize("seconds", [0.2, 2.0])
def test_lufs_of_a_tone(seconds: float) -> None:
    """By BS.1770, a full-scale sine of 997 Hz in one channel has -3.01 LKFS."""
    pytest.importorskip("pyloudnorm")
    rate = 48_000
    tone = np.sin(2 * np.pi * 997 * np.arange(int(seconds * rate)) / rate).astype(np.float32)
    assert audio.speech_level(tone, rate, "lufs") == pytest.approx(-3.01, abs=0.1)
    quiet = audio.bring_to(tone, rate, -23, "lufs")
    assert audio.speech_level(quiet, rate, "lufs") == pytest.approx(-23, abs=0.1)


@settings(max_examples=100, deadline=None)
@example(sound=np.asarray([1e-40, -1e-40], dtype=np.float32), loudness=-3.0)  # the gain is beyond float32
@given(
    sound=arrays.arrays(np.float32, st.integers(1, 50), elements=st.floats(-1, 1, width=32, allow_subnormal=True)),
    loudness=st.floats(-60, -3),
)
def test_any_sound_is_brought_within_bounds(sound: np.ndarray, loudness: float) -> None:
    brought = audio.bring_to(sound, RATE, loudness)
    assert brought.dtype == np.float32
    assert np.isfinite(brought).all()
    assert np.abs(brought).max() <= CEILING + 1e-6
    assert (np.sign(brought) == np.sign(sound))[brought != 0].all()
