"""Channels are mixed to one channel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.audio import ChannelMixer


def mixed(*channels: np.ndarray, block: int = 1000) -> np.ndarray:
    sound = np.stack(channels, axis=1).astype(np.float32)
    mixer = ChannelMixer(len(channels))
    for start in range(0, len(sound), block):
        mixer.add(sound[start : start + block])
    return mixer.mix(sound)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(8000).astype(np.float32) * 0.1


@pytest.mark.parametrize("offset", [0, 0.3])
@pytest.mark.parametrize("balance", [0.9, 0.2])
def test_opposite_phases_do_not_cancel(offset: float, balance: float) -> None:
    voice = noise(0)
    np.testing.assert_allclose(mixed(voice + offset, -balance * voice + offset), voice * (1 + balance) / 2, atol=1e-6)


def test_channels_that_agree_or_have_nothing_in_common_are_averaged() -> None:
    a, b = noise(0), noise(1)
    np.testing.assert_allclose(mixed(a, a), a, atol=1e-6)
    np.testing.assert_allclose(mixed(a, b), (a + b) / 2, atol=1e-6)
    np.testing.assert_allclose(mixed(a, 0 * a), a / 2, atol=1e-6)


def test_room_sound_turned_round_in_one_of_six_channels() -> None:
    voice = noise(0)
    others = [voice * 0.5 + 0.05 * noise(n) for n in range(1, 5)]
    mix = mixed(voice, *others, -voice)
    np.testing.assert_allclose(mix, (2 * voice + sum(others)) / 6, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(channels=st.integers(1, 6), seed=st.integers(0, 1000), block=st.integers(1, 9000))
def test_blocks_do_not_matter_and_nothing_grows(channels: int, seed: int, block: int) -> None:
    random = np.random.default_rng(seed)
    sound = (random.standard_normal((8000, channels)) * random.choice([-1, 0, 0.1, 1], channels)).astype(np.float32)
    mix = mixed(*sound.T, block=block)
    np.testing.assert_allclose(mix, mixed(*sound.T, block=8000), atol=1e-5)
    assert np.abs(mix).max() <= np.abs(sound).max() + 1e-6
