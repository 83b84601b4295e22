"""The level of each band and moment equals the level of the tones that were synthesised."""

from __future__ import annotations

import numpy as np
import pytest

from vtune.audio import mel_levels, window_samples

RATE, BANDS, HIGHEST = 24_000, 48, 12_000.0


def band_of(hertz: float) -> int:
    """Return the band that holds a frequency, by the formula of the mel scale."""
    mel = 2595 * np.log10(1 + hertz / 700)
    return int(mel / (2595 * np.log10(1 + HIGHEST / 700)) * BANDS)


@pytest.mark.parametrize("hertz", [320, 1_000, 3_000, 7_500, 11_500])
def test_a_tone_is_strongest_in_its_band(hertz: float) -> None:
    times = np.arange(RATE) / RATE
    levels = mel_levels(np.sin(2 * np.pi * hertz * times).astype(np.float32), RATE, 600, BANDS, HIGHEST)
    assert levels.shape == (40, BANDS)
    assert abs(int(levels[20].argmax()) - band_of(hertz)) <= 1
    assert levels[20, (band_of(hertz) + 12) % BANDS] < levels[20].max() - 50


def test_a_sine_of_full_scale_has_0_db() -> None:
    hertz, narrow = 9 * RATE / window_samples(RATE), 400  # the middle of a bin, in a band of one bin
    sound = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE).astype(np.float32)
    assert mel_levels(sound, RATE, 600, narrow, HIGHEST)[20].max() == pytest.approx(0.0, abs=0.1)
    assert mel_levels(0.1 * sound, RATE, 600, narrow, HIGHEST)[20].max() == pytest.approx(-20.0, abs=0.1)


def test_time_is_where_it_was() -> None:
    sound = np.zeros(RATE, dtype=np.float32)
    sound[RATE // 2 :] = np.sin(2 * np.pi * 1_000 * np.arange(RATE // 2) / RATE)
    levels = mel_levels(sound, RATE, 240, BANDS, HIGHEST).max(axis=1)
    assert np.flatnonzero(levels > -30)[0] == pytest.approx(50, abs=3)


@pytest.mark.parametrize("samples", [1, 7, 599, 600, 601])
def test_there_is_a_column_for_every_step_begun(samples: int) -> None:
    levels = mel_levels(np.zeros(samples, dtype=np.float32), RATE, 600, BANDS, HIGHEST)
    assert levels.shape == (-(-samples // 600), BANDS)
    assert np.allclose(levels, -120)
