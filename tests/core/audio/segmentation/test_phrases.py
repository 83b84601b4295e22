from __future__ import annotations

import numpy as np
import pytest

from vtune.audio.segmentation.bands import BandMeter, above_noise, band_speech_mask
from vtune.audio.segmentation.phrases import spoken_phrases

RATE = 8_000


def syllables(seconds: float, level: float) -> np.ndarray:
    """Return a voice whose level falls by 20 dB four times a second."""
    times = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * 140 * n * times + n * n) / n for n in range(1, 20))
    return np.asarray(level * tone * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * times)))


def breath(seconds: float, level: float, random: np.random.Generator) -> np.ndarray:
    swell = np.sin(np.pi * np.arange(round(seconds * RATE)) / (seconds * RATE)) ** 2
    return level * swell * random.standard_normal(len(swell))


def click(level: float, random: np.random.Generator) -> np.ndarray:
    decay = np.exp(-np.arange(RATE // 10) / (0.01 * RATE))
    return level * decay * random.standard_normal(len(decay))


def music(seconds: float, level: float) -> np.ndarray:
    """Return a chord that is struck twice a second and falls by 6 dB until it is struck again."""
    times = np.arange(round(seconds * RATE)) / RATE
    chord = sum(np.sin(2 * np.pi * 110 * factor * n * times) / n for factor in (1, 1.26, 1.5) for n in range(1, 9))
    return np.asarray(level * chord * np.exp(-1.5 * (times % 0.5)))


def measured(seconds: float, pieces: list[tuple[float, np.ndarray]], room: float = 1e-3) -> tuple[np.ndarray, ...]:
    """Return the mask by level, the levels, and the phrases of pieces of sound in a room."""
    sound = room * np.random.default_rng(1).standard_normal(round(seconds * RATE))
    for start, piece in pieces:
        sound[round(start * RATE) : round(start * RATE) + len(piece)] += piece
    meter = BandMeter(RATE)
    meter.add(sound.astype(np.float32)[:, None])
    levels = above_noise(meter.bands())
    mask = band_speech_mask(meter.bands(), levels)
    return mask, levels, spoken_phrases(mask, levels)


def spoken_seconds(speech: np.ndarray, start: float, end: float) -> float:
    return float(speech[round(100 * start) : round(100 * end)].sum()) / 100


@pytest.mark.parametrize("room", [1e-4, 1e-3, 4e-3])
def test_pauses_of_minutes_hold_no_speech(room: float) -> None:
    spans = [(2.0, 5.0), (95.0, 97.0), (200.0, 203.0)]
    _, _, phrases = measured(260, [(start, syllables(end - start, 0.1)) for start, end in spans], room)
    for start, end in spans:
        assert spoken_seconds(phrases.speech, start, end) > 0.7 * (end - start)
    assert phrases.speech.sum() / 100 < sum(end - start for start, end in spans) + 0.6


def test_breaths_and_clicks_in_a_long_pause_are_no_speech() -> None:
    random = np.random.default_rng(0)
    pieces = [(2.0, syllables(3, 0.1)), (75.0, syllables(3, 0.1))]
    pieces += [(start, breath(0.8, 0.012, random)) for start in range(10, 40, 4)]
    pieces += [(start, click(0.2, random)) for start in range(42, 70, 3)]
    mask, _, phrases = measured(80, pieces)
    assert mask[800:7200].sum() > 100
    assert not phrases.speech[800:7200].any()
    assert not phrases.doubtful


def test_a_minute_that_is_whispered_is_speech_and_worth_a_second_look() -> None:
    pieces = [(start, syllables(3, 0.1)) for start in range(0, 60, 4)]
    pieces += [(start, syllables(3, 0.01)) for start in range(60, 120, 4)]
    pieces += [(120.0, syllables(0.6, 0.01))]  # the faint end of the last sentence
    mask, _, phrases = measured(130, pieces)
    assert spoken_seconds(phrases.speech, 60, 120) > 0.95 * spoken_seconds(mask, 60, 120) > 30
    assert spoken_seconds(phrases.speech, 120, 121) > 0.3
    assert len(phrases.doubtful) >= 10


def test_a_machine_is_no_speech_and_music_is_doubtful() -> None:
    pieces = [(start, syllables(3, 0.1)) for start in (1.0, 20.0, 50.0)]
    pieces += [(30.0, 0.05 * np.random.default_rng(2).standard_normal(8 * RATE)), (40.0, music(6, 0.05))]
    _, _, phrases = measured(60, pieces)
    assert spoken_seconds(phrases.speech, 29, 39) == 0
    assert [start // 100 in range(39, 42) and end // 100 in range(44, 48) for start, end in phrases.doubtful] == [True]
    assert spoken_seconds(phrases.speech, 50, 53) > 2


def test_nothing_has_no_phrases() -> None:
    phrases = spoken_phrases(np.zeros(0, dtype=bool), np.zeros(0, dtype=np.float32))
    assert not len(phrases.speech)
    assert not phrases.doubtful
