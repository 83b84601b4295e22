"""What the gate lets through, and which parts a recogniser gets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.contract.recognisers import MAX_CHUNK_SECONDS, RECOGNISER_SAMPLE_RATE
from vtune.ingest.transcribe.speech_gate import MAX_PAUSE_SECONDS, MIN_SPEECH_SECONDS, PAD_SECONDS, gate_speech


def burst(seconds: float, seed: int = 0) -> np.ndarray:
    """Return swelling noise without silence around it."""
    times = np.arange(round(seconds * RECOGNISER_SAMPLE_RATE)) / RECOGNISER_SAMPLE_RATE
    noise = np.random.default_rng(seed).normal(0, 0.2, len(times))
    return (noise * np.clip(np.sin(2 * np.pi * 5 * times), 0, None) ** 2).clip(-1, 1).astype(np.float32)


def quiet(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RECOGNISER_SAMPLE_RATE), dtype=np.float32)


RANDOM = np.random.default_rng(0)
TIMES = np.arange(5 * RECOGNISER_SAMPLE_RATE) / RECOGNISER_SAMPLE_RATE
NOBODY = {
    "nothing at all": np.zeros(0),
    "one sample": np.zeros(1),
    "digital silence": np.zeros(5 * RECOGNISER_SAMPLE_RATE),
    "the last bit dithering": RANDOM.integers(-1, 2, 5 * RECOGNISER_SAMPLE_RATE) / 32768,
    "the last bit dithering now and then": RANDOM.integers(-1, 2, 5 * RECOGNISER_SAMPLE_RATE) / 32768 * (TIMES % 2 > 1),
    "a silent room": RANDOM.normal(0, 1e-3, 5 * RECOGNISER_SAMPLE_RATE),
    "a fan": RANDOM.normal(0, 1e-1, 5 * RECOGNISER_SAMPLE_RATE),
    "hum": 0.05 * np.sin(2 * np.pi * 50 * TIMES) + 0.02 * np.sin(2 * np.pi * 150 * TIMES),
    "a whistle": 0.1 * np.sin(2 * np.pi * 440 * TIMES),
    "clicks": (RANDOM.random(5 * RECOGNISER_SAMPLE_RATE) < 1e-4) * 0.5,
    "a full-scale offset": np.ones(5 * RECOGNISER_SAMPLE_RATE),
}


@pytest.mark.parametrize("what", NOBODY)
def test_where_nobody_speaks_nothing_passes(what: str) -> None:
    speech = gate_speech(NOBODY[what].astype(np.float32))
    assert speech.pieces == ()
    assert speech.seconds < MIN_SPEECH_SECONDS


@pytest.mark.parametrize("decibels", [0, -20, -35])
def test_speech_passes_however_quiet_it_was_recorded(decibels: float) -> None:
    sound = np.concatenate([quiet(0.5), burst(3), quiet(0.5)]) * 10 ** (decibels / 20)
    noise = np.random.default_rng(1).integers(-1, 2, len(sound)) / 32768
    speech = gate_speech((sound + noise).astype(np.float32))
    assert len(speech.pieces) == 1
    assert speech.seconds == pytest.approx(3, abs=0.4)


@pytest.mark.parametrize("decibels", [30, 20, 10])
def test_speech_passes_through_noise_and_noise_does_not(decibels: float) -> None:
    sound = np.concatenate([quiet(0.4), burst(3), quiet(0.4)])
    noise = np.random.default_rng(1).normal(0, 1, len(sound))
    noise *= np.sqrt(np.mean(sound**2) / 10 ** (decibels / 10))
    speech = gate_speech((sound + noise).clip(-1, 1).astype(np.float32))
    assert speech.seconds == pytest.approx(3, abs=1)
    assert gate_speech(noise.clip(-1, 1).astype(np.float32)).pieces == ()


def test_of_silence_only_pads_reach_the_recogniser() -> None:
    first, second = burst(2), burst(2, 1)
    (piece,) = gate_speech(np.concatenate([quiet(40), first, quiet(30), second, quiet(40)])).pieces
    assert len(piece) / RECOGNISER_SAMPLE_RATE == pytest.approx(4 + 4 * PAD_SECONDS, abs=0.4)
    for half in (first, second):  # nothing of what was said is lost
        core = half[RECOGNISER_SAMPLE_RATE // 4 : -RECOGNISER_SAMPLE_RATE // 4]
        result = [start for start in range(0, len(piece) - len(core)) if piece[start] == core[0]]
        assert any(np.array_equal(piece[start : start + len(core)], core) for start in result)


def test_a_pause_for_breath_stays_as_it_is() -> None:
    sound = np.concatenate([burst(2), quiet(MAX_PAUSE_SECONDS - 0.3), burst(2)])
    (piece,) = gate_speech(sound).pieces
    assert len(piece) == pytest.approx(len(sound), abs=0.2 * RECOGNISER_SAMPLE_RATE)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.floats(0.5, 20), st.floats(0.0, 4)), min_size=2, max_size=12), st.integers(0, 99))
def test_long_recordings_come_in_pieces_that_hold_all_speech_once(parts: list[tuple[float, float]], seed: int) -> None:
    sound = np.concatenate([part for length, pause in parts for part in (burst(length, seed), quiet(pause))])
    speech = gate_speech(sound)
    assert speech.pieces
    assert all(0 < len(piece) <= MAX_CHUNK_SECONDS * RECOGNISER_SAMPLE_RATE for piece in speech.pieces)
    total, held = float(np.square(sound).sum()), float(sum(np.square(piece).sum() for piece in speech.pieces))
    assert held <= total * (1 + 1e-5)  # nothing twice
    assert held >= total * 0.98  # and next to nothing lost
