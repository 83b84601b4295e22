"""The tempo of sound changes, and its pitch stays the same."""

from __future__ import annotations

import numpy as np
import pytest

from vtune.audio import Tempo

RATE = 24_000


def changed(sound: np.ndarray, speed: float, piece: int) -> np.ndarray:
    tempo = Tempo(RATE, speed)
    parts = [tempo.add(sound[start : start + piece]) for start in range(0, len(sound), piece)]
    return np.concatenate([*parts, tempo.end()])


@pytest.mark.parametrize("speed", [0.25, 0.4, 0.5, 0.9, 1.0, 1.25, 2.0, 4.0])
def test_the_length_changes_and_the_pitch_does_not(speed: float) -> None:
    sound = (0.3 * np.sin(2 * np.pi * 220 * np.arange(4 * RATE) / RATE)).astype(np.float32)
    out = changed(sound, speed, 2048)
    assert len(out) / RATE == pytest.approx(4 / speed, rel=0.01, abs=0.05)
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out))))
    assert spectrum.argmax() * RATE / len(out) == pytest.approx(220, abs=2)
    assert np.abs(out).max() == pytest.approx(0.3, abs=0.05)


def test_pieces_do_not_matter() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    assert np.array_equal(changed(noise, 1.5, 500), changed(noise, 1.5, RATE))


def test_sound_comes_before_the_whole_is_there() -> None:
    tempo = Tempo(RATE, 2.0)
    early = [tempo.add(np.zeros(2048, np.float32)) for _ in range(8)]
    assert sum(map(len, early)) > 2048


def test_nothing_stays_nothing() -> None:
    tempo = Tempo(RATE, 2.0)
    assert len(tempo.add(np.zeros(0, np.float32))) == 0
    assert len(tempo.end()) == 0
