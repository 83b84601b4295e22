from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.audio.segmentation.bands import BandMeter, above_noise, band_speech_mask

RATE = 16_000


def measured(sound: np.ndarray, rate: int = RATE, block: int = 9_999) -> tuple[np.ndarray, BandMeter]:
    sound = sound[:, None] if sound.ndim == 1 else sound
    meter = BandMeter(rate)
    for start in range(0, len(sound), block):
        meter.add(sound[start : start + block].astype(np.float32))
    return meter.bands(), meter


def voice(seconds: float, level: float, pitch: float = 130) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * pitch * n * time + n * n) / n for n in range(1, 30))
    return level * (1 + 0.8 * np.sin(2 * np.pi * 4 * time)) * tone


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4000), st.integers(1, 3), st.integers(0, 99))
def test_the_bands_add_up_to_the_power_whatever_the_blocks(block: int, channels: int, seed: int) -> None:
    """The wavelet loses nothing: at 8 kHz, where no samples are averaged, the powers of the bands add up to the power
    of the samples.
    """
    sound = np.random.default_rng(seed).standard_normal((8_000, channels)).astype(np.float32)
    bands, meter = measured(sound, 8_000, block)
    assert bands.shape == (100, 4)
    assert meter.hop == 80
    expected = np.square(sound.reshape(100, 80, channels), dtype=np.float64).mean(axis=(1, 2))
    np.testing.assert_allclose(bands.sum(axis=1), expected, rtol=1e-4)


@pytest.mark.parametrize(("hertz", "band"), [(3000, 0), (1500, 1), (700, 2), (100, 3)])
def test_a_tone_is_mostly_in_its_band(hertz: float, band: int) -> None:
    bands, _ = measured(0.1 * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE))
    assert bands.mean(axis=0).argmax() == band


@pytest.mark.parametrize("rate", [1_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 384_000])
def test_frames_are_about_ten_milliseconds(rate: int) -> None:
    _, meter = measured(np.zeros(rate), rate)
    assert meter.hop / rate == pytest.approx(0.01, rel=0.06 if rate > 1_000 else 0.25)


@pytest.mark.parametrize("kind", ["white", "brown", "hum", "none"])
@pytest.mark.parametrize("level", [0.1, 0.001])
def test_speech_is_found_in_noise_of_any_colour(kind: str, level: float) -> None:
    """The recording has ten seconds of speech in thirty seconds, 10 dB above the noise, at the level of a shout and of
    a whisper.
    """
    random = np.random.default_rng(0)
    speech = voice(5, level)
    white = random.standard_normal(30 * RATE)
    noise = {
        "white": white,
        "brown": np.convolve(
            np.cumsum(white) - np.convolve(np.cumsum(white), np.ones(400) / 400, "same"), [1, -0.5], "same"
        ),
        "hum": np.sin(2 * np.pi * 50 * np.arange(30 * RATE) / RATE),
        "none": 1e-4 * white,
    }[kind]
    power = level**2 if kind == "none" else np.mean(speech**2) / np.mean(noise**2) / 10
    noise = noise * np.sqrt(power)
    sound = noise.copy()
    truth = np.zeros(3000, dtype=bool)
    for start in (3, 17):
        sound[start * RATE : (start + 5) * RATE] += speech
        truth[start * 100 : (start + 5) * 100] = True
    bands, _ = measured(sound)
    mask = band_speech_mask(bands, above_noise(bands))
    assert mask[truth].mean() > 0.9
    assert mask[~truth].mean() < 0.03


def test_noise_that_does_not_change_is_no_speech() -> None:
    random = np.random.default_rng(0)
    for sound in (
        0.1 * random.standard_normal(20 * RATE),
        np.zeros(20 * RATE),
        random.integers(-1, 2, 20 * RATE) / 32768,
        0.2 * np.sin(2 * np.pi * 60 * np.arange(20 * RATE) / RATE),
        np.zeros(3),
    ):
        bands, _ = measured(np.asarray(sound))
        assert not band_speech_mask(bands, above_noise(bands)).any()
