"""The measured pitch is that of the sound: tones, glides, noise and silence, made from formulas."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vtune.toolkit.pitch import fill_voiceless, measure_f0

RATE, HOP = 24_000, 300


def glide(
    start: float, end: float, seconds: float = 1.0, harmonics: int = 12
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a voice-like sound whose pitch moves on a line, and its F0 in the middle of each frame."""
    samples = round(seconds * RATE)
    f0 = np.linspace(start, end, samples)
    phase = 2 * np.pi * f0.cumsum() / RATE
    sound = sum(np.cos(number * phase + number) / number for number in range(1, harmonics + 1))
    return 0.1 * np.asarray(sound), f0[HOP // 2 :: HOP][: samples // HOP]


def cents(measured: NDArray[np.float32], f0: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1200 * np.log2(measured / f0))


@pytest.mark.parametrize("pitch", [75.0, 110.0, 220.0, 431.0])
def test_a_steady_voice_is_measured_within_five_cents(pitch: float) -> None:
    sound, f0 = glide(pitch, pitch)
    measured = measure_f0(sound, RATE, HOP)
    assert len(measured) == 80
    assert np.abs(cents(measured[3:-3], f0[3:-3])).max() < 5


def test_a_glide_of_an_octave_in_a_second_is_followed() -> None:
    sound, f0 = glide(120, 240)
    assert np.abs(cents(measure_f0(sound, RATE, HOP)[3:-3], f0[3:-3])).max() < 15


def test_a_voice_without_its_fundamental_has_the_same_pitch() -> None:
    sound, f0 = glide(150, 150)
    sound -= 0.1 * np.cos(2 * np.pi * np.linspace(150, 150, len(sound)).cumsum() / RATE + 1)
    assert np.abs(cents(measure_f0(sound, RATE, HOP)[3:-3], f0[3:-3])).max() < 5


def test_noise_and_silence_have_no_pitch() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE)
    assert (measure_f0(noise, RATE, HOP) > 0).mean() < 0.05
    assert not measure_f0(np.zeros(RATE), RATE, HOP).any()
    assert measure_f0(np.zeros(10), RATE, HOP).shape == (0,)


def test_a_voice_between_silences_is_voiced_where_it_sounds() -> None:
    sound, _ = glide(140, 160, 0.5)
    measured = measure_f0(np.concatenate([np.zeros(RATE // 2), sound, np.zeros(RATE // 2)]), RATE, HOP)
    voiced = np.flatnonzero(measured)
    assert abs(voiced[0] - 40) <= 1
    assert abs(voiced[-1] - 79) <= 1
    assert len(voiced) == voiced[-1] - voiced[0] + 1


def test_voiceless_frames_get_a_pitch_between_their_neighbours() -> None:
    filled = fill_voiceless(np.array([0, 100, 0, 400, 0], np.float32))
    np.testing.assert_allclose(filled, [100, 100, 200, 400, 400], rtol=1e-6)
    assert not fill_voiceless(np.zeros(3, np.float32)).any()
