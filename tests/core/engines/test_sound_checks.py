"""Every piece of sound is checked before vtune saves, scores or sends it."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from vtune.engines.sound_checks import MAX_EMPTY_PIECES, checked, longest_speech
from vtune.errors import EngineError
from vtune.types import Audio, Ending, WordTime

RATE = 8000


def piece(waveform: object, **fields: object) -> Audio:
    return Audio(**{"waveform": waveform, "sample_rate": RATE, "ending": Ending.PLANNED, **fields})  # type: ignore[arg-type]


def hear(*pieces: object, seconds: float = 10.0) -> list[Audio]:
    return list(checked(pieces, "engine 'x' (x-tts 1.0): synthesize", RATE, seconds))  # type: ignore[arg-type]


def sound(value: float = 0.1, samples: int = 80) -> np.ndarray:
    return np.full(samples, value, np.float32)


def test_good_sound_passes_unchanged():
    pieces = [piece(sound(1.0), ending=None), piece(np.zeros(0, np.float32), ending=None), piece(sound(-1.0))]
    assert all(before is after for before, after in zip(pieces, hear(*pieces), strict=True))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("hello", "yielded 'hello'; it must yield vtune.Audio"),
        (piece([0.1, 0.2]), "yielded a waveform of type list; it must be a NumPy array"),
        (piece(sound().astype(np.float64)), "yielded float64 sound; it must be float32"),
        (piece((sound() * 32767).astype(np.int16)), "yielded int16 sound; it must be float32"),
        (piece(sound()[None]), "yielded sound of shape [1, 80]; it must be mono with one axis"),
        (piece(np.zeros((80, 2), np.float32)), "yielded sound of shape [80, 2]; it must be mono"),
        (piece(sound(), sample_rate=16000), "yielded sound at 16000 Hz, but engine_info says 8000 Hz"),
        (piece(np.array([0, np.nan, 0], np.float32)), "with 1 of 3 samples that are NaN or infinite"),
        (piece(np.array([0, np.inf], np.float32)), "with 1 of 2 samples that are NaN or infinite"),
        (piece(sound(1.5)), "reaches 1.5, outside [-1, 1]; limit it with np.clip"),
        (piece(sound(-20000.0)), "reaches 2e+04, outside [-1, 1]; divide 16-bit samples by 32768"),
        (piece(sound(), ending="end"), "yielded the ending 'end'; it must be a vtune.Ending"),
        (piece(sound(), ending=None), "the last piece of sound has no ending"),
        (piece(sound(), words=("hello",)), "yielded the word time 'hello'; it must be a vtune.WordTime"),
        (piece(sound(), words=(WordTime("a", 0.5, 0.6),)), "the word 'a' at 0.500 to 0.600 s"),
        (piece(sound(), words=(WordTime("a", 0.005, 0.001),)), "the word 'a' at 0.005 to 0.001 s"),
        (piece(sound(), words=(WordTime("a", 0.005, 0.006), WordTime("b", 0.001, 0.006))), "the word 'b' at 0.001"),
    ],
)
def test_broken_sound_is_refused_and_the_engine_is_named(broken, words):
    with pytest.raises(EngineError) as caught:
        hear(broken)
    assert str(caught.value).startswith("engine 'x' (x-tts 1.0): synthesize")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_sound_at_all_is_an_error():
    with pytest.raises(EngineError, match="yielded no sound"):
        hear()


def endless(samples: int):
    while True:
        yield piece(sound(samples=samples), ending=None)


@pytest.mark.parametrize(("samples", "most"), [(800, 100), (0, MAX_EMPTY_PIECES)])
def test_speech_that_does_not_end_is_broken_off(samples, most):
    pieces = checked(endless(samples), "x", RATE, 10.0)
    assert len(list(islice(pieces, most))) == most
    with pytest.raises(EngineError, match="does not end"):
        next(pieces)


def test_the_longest_speech_grows_with_the_text():
    assert longest_speech("x" * 1000) - longest_speech("") == pytest.approx(2000)
