from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.audio.segmentation.energy import LevelMeter, find_stretches, speech
from vtune.audio.segmentation.segments import FRAME_SECONDS

RATE = 16_000


def voiced(seconds: float, level: float = 0.2, rate: int = RATE) -> np.ndarray:
    """Return a sound like a vowel: harmonics of 150 Hz that swell four times a second."""
    times = np.arange(int(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * 150 * k * times) / k for k in range(1, 20))
    sound: np.ndarray = level * tone * (0.7 + 0.3 * np.sin(2 * np.pi * 4 * times))
    return sound


def talk(level: float = 0.2, noise: float = 1e-4, rate: int = RATE, seed: int = 0) -> tuple[np.ndarray, list[float]]:
    """Return fifteen utterances of 1 to 3 s, and the moments in the middle of the pauses of 0.7 s between them."""
    random = np.random.default_rng(seed)
    pieces, moments, position = [np.zeros(rate)], [], 1.0
    for _ in range(15):
        length = random.uniform(1, 3)
        pieces += [voiced(length, level, rate), np.zeros(int(0.7 * rate))]
        position += length + 0.7
        moments.append(position - 0.35)
    sound = np.concatenate(pieces)
    return (sound + random.normal(0, noise, len(sound))).astype(np.float32), moments[:-1]


def levels(sound: np.ndarray, rate: int = RATE, block: int = 1 << 16) -> np.ndarray:
    meter = LevelMeter(rate)
    channels = sound if sound.ndim == 2 else sound[:, None]
    for start in range(0, len(channels), block):
        meter.add(channels[start : start + block])
    return meter.levels()


def found(sound: np.ndarray, moments: list[float], rate: int = RATE) -> int:
    spoken = find_stretches(speech(levels(sound, rate)), 0.5)
    pauses = [(before[1] * FRAME_SECONDS, after[0] * FRAME_SECONDS) for before, after in pairwise(spoken)]
    return sum(any(start < moment < end for start, end in pauses) for moment in moments)


@pytest.mark.parametrize("level", [0.2, 0.2 * 10 ** (-26 / 20), 0.003])
def test_pauses_are_found_however_loud_the_recording_is(level: float) -> None:
    sound, moments = talk(level, noise=1e-5)
    assert found(sound, moments) == len(moments)


@pytest.mark.parametrize("ratio", [20, 10])
def test_pauses_are_found_in_noise(ratio: float) -> None:
    sound, moments = talk()
    noise = np.random.default_rng(1).normal(0, 1, len(sound)) * voiced(2).std() * 10 ** (-ratio / 20)
    assert found((sound + noise).astype(np.float32), moments) == len(moments)


def test_hum_and_an_offset_do_not_hide_pauses() -> None:
    sound, moments = talk()
    times = np.arange(len(sound)) / RATE
    hum = 0.05 * np.sin(2 * np.pi * 50 * times) + 0.02 * np.sin(2 * np.pi * 100 * times) + 0.1
    assert found((sound + hum).astype(np.float32), moments) == len(moments)


def test_channels_of_opposite_phase_are_heard() -> None:
    sound, moments = talk()
    both = np.stack([sound, -sound], axis=1)
    assert found(both, moments) == len(moments)
    np.testing.assert_allclose(levels(both), levels(sound), atol=1e-3)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40_000), st.sampled_from([8000, 11_025, 16_000, 44_100, 48_000]))
def test_how_a_recording_is_cut_into_blocks_does_not_matter(block: int, rate: int) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 2 * rate).astype(np.float32)
    np.testing.assert_allclose(levels(sound, rate, block), levels(sound, rate), atol=2e-4)


def test_a_level_is_that_of_its_frame() -> None:
    """The expected level of a sine of 1 kHz at 8 kHz is its RMS times the gain of the pre-emphasis at 1 kHz, computed
    by hand.
    """
    rate, amplitude = 8000, 0.1
    sound = amplitude * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)
    gain = abs(1 - 0.97 * np.exp(-2j * np.pi * 1000 / rate))
    expected = 10 * np.log10(amplitude**2 / 2 * gain**2)
    np.testing.assert_allclose(levels(sound, rate)[5:-5], expected, atol=0.05)


def test_silence_and_nothing_hold_no_speech() -> None:
    assert not find_stretches(speech(levels(np.zeros(RATE, dtype=np.float32))), 0.5)
    assert len(levels(np.zeros(0, dtype=np.float32))) == 0
    assert find_stretches(np.zeros(0, dtype=bool), 0.5) == []


def test_blips_are_dropped_and_short_pauses_joined() -> None:
    mask = np.zeros(300, dtype=bool)
    mask[20:23] = mask[50:100] = mask[120:180] = mask[250:290] = True
    assert find_stretches(mask, 0.5) == [(50, 180), (250, 290)]
    assert find_stretches(mask, 0.1) == [(50, 100), (120, 180), (250, 290)]
