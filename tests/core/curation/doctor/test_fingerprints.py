from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
import soxr

from vtune.curation.doctor.fingerprints import Fingerprint, make_fingerprint, similar_pairs
from vtune.curation.doctor.spectra import Spectra

RATE = 24_000
Clip = Callable[..., np.ndarray]


def printed(sound: np.ndarray, rate: int = RATE) -> Fingerprint:
    spectra = Spectra(rate)
    spectra.add(sound.astype(np.float32))
    spectra.end()
    return make_fingerprint(spectra.marks)


def as_mp3(sound: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, format="MP3")
    file.seek(0)
    return np.asarray(soundfile.read(file)[0])


CLOTHES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mp3": as_mp3,
    "quieter": lambda sound: 0.1 * sound,
    "later": lambda sound: np.concatenate([np.zeros(int(0.217 * RATE)), sound]),
    "cut": lambda sound: sound[int(0.331 * RATE) :],
    "noisy": lambda sound: sound + np.random.default_rng(0).normal(0, 0.1 * sound.std(), len(sound)),
    "turned": lambda sound: -sound,
    "mp3, quieter, later": lambda sound: as_mp3(np.concatenate([np.zeros(int(0.1 * RATE)), 0.3 * sound])),
}


@pytest.mark.parametrize("clothes", CLOTHES)
def test_a_copy_in_other_clothes_is_found_among_many(clip: Clip, clothes: str) -> None:
    sounds = [clip(seed) for seed in range(30)]
    (pair,) = similar_pairs([*map(printed, sounds), printed(CLOTHES[clothes](sounds[17]))])
    assert (pair.first, pair.second) == (17, 30)
    assert pair.similarity > 0.75


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_another_rate_is_the_same_sound(clip: Clip, rate: int) -> None:
    other = printed(soxr.resample(clip(2), RATE, rate), rate)
    (pair,) = similar_pairs([printed(clip(1)), printed(clip(2)), other])
    assert (pair.first, pair.second) == (1, 2)


def test_unlike_clips_of_one_voice_are_no_twins(clip: Clip) -> None:
    assert similar_pairs([printed(clip(seed)) for seed in range(60)]) == []


def test_a_clip_is_found_inside_a_longer_recording(clip: Clip) -> None:
    long = np.concatenate([clip(seed) for seed in range(10, 16)])
    (pair,) = similar_pairs([printed(clip(1)), printed(long), printed(clip(13))])
    assert (pair.first, pair.second) == (1, 2)


def test_tones_silence_and_short_sounds_tell_nothing() -> None:
    times = np.arange(2 * RATE) / RATE
    empty = [np.zeros(2 * RATE), np.zeros(2 * RATE), np.zeros(100), np.zeros(0)]
    tones = [np.sin(2 * np.pi * 440 * times)] * 100
    assert similar_pairs([printed(sound) for sound in empty]) == []
    assert len(similar_pairs([printed(sound) for sound in tones])) <= 100 * 99 // 2
    assert similar_pairs([]) == []
