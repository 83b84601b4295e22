"""The codec keeps pitch and loudness, and streams without gaps."""

import numpy as np
import pytest

from language_model_engine.codec import FRAME_SAMPLES, LOWEST_PITCH_HZ, SAMPLE_RATE, Decoder, encode


def tone(pitch: float, seconds: float = 1.0) -> np.ndarray:
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return sum(0.1 * np.sin(2 * np.pi * harmonic * pitch * times) for harmonic in range(1, 6)).astype(np.float32)


@pytest.mark.parametrize("pitch", [80.0, 120.0, 190.0, 350.0])
def test_a_frame_of_a_tone_has_its_pitch_in_semitones(pitch: float) -> None:
    codes = encode(tone(pitch))[1:-1, 0]

    assert np.abs(codes - 1 - 12 * np.log2(pitch / LOWEST_PITCH_HZ)).max() < 1


def test_noise_has_no_pitch() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)

    assert np.mean(encode(noise)[:, 0] == 0) > 0.9


@pytest.mark.parametrize("samples", [1, FRAME_SAMPLES, FRAME_SAMPLES + 1, 4000])
def test_no_sample_is_left_out(samples: int) -> None:
    assert encode(np.zeros(samples, dtype=np.float32)).shape == (-(-samples // FRAME_SAMPLES), 6)


def test_what_is_decoded_has_the_codes_that_it_was_decoded_from() -> None:
    codes = encode(tone(150.0))
    decoder = Decoder()

    decoded = np.concatenate([decoder.decode(frame.tolist()) for frame in codes])

    again = encode(decoded)
    inner = slice(2, len(codes) - 2)
    assert np.array_equal(again[inner, 0], codes[inner, 0])
    loud = codes[inner, 1:] > 8  # quiet bands hold what leaks from loud ones
    assert np.abs(again[inner, 1:] - codes[inner, 1:])[loud].max() <= 1
