"""Each measure is compared with a fault of known strength in synthesised sound; clean sound has no finding."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import minimum_filter1d
from scipy.signal import butter, sosfiltfilt

from vtune.curation.doctor.edge_levels import EdgeMeter
from vtune.curation.doctor.measure import BLOCK_SAMPLES, Measures, even_blocks, measure
from vtune.curation.doctor.thresholds import sound_findings
from vtune.dataset import Row
from vtune.errors import DataError

RATE = 24_000
Clip = Callable[..., np.ndarray]
ROW = Row("table.csv", 2, "clip.wav", "words", "")


@dataclass
class Sound:
    sound: np.ndarray
    rate: int = RATE
    block: int = 10_000

    @property
    def channels(self) -> int:
        return self.sound.shape[1]

    def blocks(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self.sound), self.block):
            yield self.sound[start : start + self.block]


def measured(sound: np.ndarray, rate: int = RATE, block: int = 10_000) -> Measures:
    wide = sound[:, None] if sound.ndim == 1 else sound
    return measure(Sound(wide.astype(np.float32), rate, block))


def checks(sound: np.ndarray, rate: int = RATE) -> set[str]:
    return {finding.check for finding in sound_findings(ROW, measured(sound, rate), None)}


def pcm16(sound: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(np.rint(sound * 32768), -32768, 32767) / 32768)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_wrong_with_clean_sound(clip: Clip, seed: int, rate: int) -> None:
    assert checks(pcm16(clip(seed, rate=rate)), rate) == set()


@pytest.mark.parametrize("ratio", [5, 10, 15, 20, 25, 30])
def test_noise_is_measured_within_3_db(clip: Clip, ratio: float) -> None:
    sound = clip(1, floor=-100)
    frames = np.square(sound[: len(sound) // 480 * 480].reshape(-1, 480)).mean(axis=1)
    speech = frames[frames > frames.max() / 40].mean()
    noise = np.random.default_rng(2).normal(0, np.sqrt(speech * 10 ** (-ratio / 10)), len(sound))
    speech_found = measured(sound + noise).speech
    assert speech_found.level - speech_found.noise == pytest.approx(ratio, abs=3)
    assert ("noise" in checks(sound + noise)) == (ratio < 20) or ratio == 20


@pytest.mark.parametrize("hertz", [3_400, 4_000, 6_000, 8_000])
@pytest.mark.parametrize("steep", [20, 24])
def test_a_low_pass_is_found_where_it_is(clip: Clip, hertz: float, steep: int) -> None:
    filtered = pcm16(sosfiltfilt(butter(steep // 2, hertz, fs=RATE, output="sos"), clip(3)))
    assert measured(filtered).bandwidth == pytest.approx(hertz, rel=0.1)
    assert "bandwidth" in checks(filtered)


def test_a_telephone_is_found_under_noise_too(clip: Clip) -> None:
    narrow = soxr.resample(soxr.resample(clip(3), RATE, 8_000), 8_000, RATE)
    noise = np.random.default_rng(0).normal(0, narrow.std() * 10 ** (-30 / 20), len(narrow))
    assert measured(pcm16(narrow + noise)).bandwidth == pytest.approx(4_000, rel=0.1)


@pytest.mark.parametrize("offset", [0.02, -0.02, 0.1])
def test_an_offset_is_measured(clip: Clip, offset: float) -> None:
    assert measured(pcm16(clip(4) + offset)).peaks.offset == pytest.approx(offset, abs=0.001)
    assert "offset" in checks(clip(4) + offset)


@pytest.mark.parametrize("gain", [3, 6, 12])
@pytest.mark.parametrize("after", [1.0, 0.5, 0.1])
def test_clipping_is_found_also_when_it_was_turned_down(clip: Clip, gain: float, after: float) -> None:
    loud = clip(5) / np.abs(clip(5)).max() * 10 ** (gain / 20)
    clipped = pcm16(np.clip(loud, -1, 1)) * after
    truth = np.mean(np.abs(loud) >= 1)
    assert measured(pcm16(clipped)).peaks.clipped == pytest.approx(truth, rel=0.35)
    assert "clipping" in checks(pcm16(clipped))


@pytest.mark.parametrize("level", [-12, -29, -45, -60])
def test_unclipped_sound_and_tones_are_not_called_clipped(clip: Clip, level: float) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 101 * np.arange(2 * RATE) / RATE)
    for sound in (clip(6, level=level), tone, 0.01 * tone):
        assert measured(pcm16(np.clip(sound, -1, 1))).peaks.clipped == 0


@pytest.mark.parametrize("level", [-50, -29, -9])
def test_the_level_of_speech_is_measured(clip: Clip, level: float) -> None:
    assert measured(clip(7, level=level)).speech.level == pytest.approx(level, abs=2)
    assert ("level" in checks(clip(7, level=level))) == (level != -29)


@pytest.mark.parametrize("mains", [50, 60])
@pytest.mark.parametrize("under", [20, 30])
def test_hum_is_found_with_its_frequency(clip: Clip, mains: int, under: float) -> None:
    sound = clip(8)
    times = np.arange(len(sound)) / RATE
    hum = sum(share * np.sin(2 * np.pi * mains * k * times) for k, share in ((1, 1.0), (2, 0.4), (3, 0.2)))
    hum *= 10 ** ((-29 - under) / 20) / np.std(hum)
    measurement = measured(sound + hum).hum
    assert measurement.hertz == mains
    assert measurement.level == pytest.approx(-29 - under, abs=2)


@pytest.mark.parametrize(("before", "behind"), [(0.0, 0.0), (1.5, 0.0), (0.0, 2.0), (3.0, 1.2)])
def test_silence_at_the_ends_is_measured(clip: Clip, before: float, behind: float) -> None:
    faint = np.random.default_rng(0).normal(0, 10 ** (-75 / 20), int((before + behind) * RATE))
    sound = np.concatenate([faint[: int(before * RATE)], clip(9), faint[int(before * RATE) :]])
    speech = measured(sound).speech
    assert speech.lead == pytest.approx(before + 0.15, abs=0.1)
    assert speech.tail == pytest.approx(behind + 0.15, abs=0.15)
    assert ("silence" in checks(sound)) == (max(before, behind) > 1)


def test_a_pause_inside_is_measured(clip: Clip) -> None:
    faint = np.random.default_rng(0).normal(0, 10 ** (-75 / 20), int(2.5 * RATE))
    sound = np.concatenate([clip(1), faint, clip(2)])
    assert measured(sound).speech.pause == pytest.approx(2.8, abs=0.15)
    assert checks(sound) == {"pause"}


@pytest.mark.parametrize("seed", range(8))
def test_a_word_that_was_cut_is_found_at_either_end(clip: Clip, seed: int) -> None:
    sound = clip(seed)
    power = np.convolve(sound**2, np.ones(480) / 480, "same")
    inside = minimum_filter1d(power, int(0.08 * RATE))  # a vowel to either side, not its rim
    loud = np.flatnonzero(inside > inside.max() / 4)
    at = int(loud[len(loud) // 2])
    assert "chopped" in checks(sound[at:])
    assert "chopped" in checks(sound[:at])


@pytest.mark.parametrize("margin", [0.006, 0.012])
def test_a_tight_cut_outside_the_words_is_not_taken_for_a_cut_word(clip: Clip, margin: float) -> None:
    sound = clip(3)
    audible = np.flatnonzero(np.abs(sound) > 10 * np.abs(sound[: RATE // 10]).max())
    tight = sound[audible[0] - int(margin * RATE) : audible[-1] + int(margin * RATE)]
    assert np.abs(tight[: int(0.032 * RATE)]).max() > 0.05, "the first word begins within 32 ms"
    assert checks(tight) == set()


def test_levels_of_the_edges_ignore_an_offset_and_rumble_and_blocks() -> None:
    times = np.arange(RATE) / RATE
    tone = 0.1 * np.sin(2 * np.pi * 1_000 * times)
    rumble = 0.2 + 0.3 * np.sin(2 * np.pi * 4 * times)
    meter = EdgeMeter(RATE)
    for block in np.array_split((tone + rumble).astype(np.float32), 997):
        meter.add(block)
    assert meter.levels().start == pytest.approx(20 * np.log10(0.1 / np.sqrt(2)), abs=0.2)
    assert meter.levels().stop == pytest.approx(20 * np.log10(0.1 / np.sqrt(2)), abs=0.2)


@pytest.mark.parametrize(
    "sound", [np.zeros(RATE), np.full(RATE, 0.3), np.random.default_rng(0).normal(0, 0.01, 3 * RATE)]
)
def test_what_holds_no_speech_is_said_so(sound: np.ndarray) -> None:
    assert "no-speech" in checks(sound)


def test_no_samples_are_an_error() -> None:
    with pytest.raises(DataError, match="no samples"):
        measured(np.zeros(0))


def test_one_wire_the_wrong_way_round_is_no_silence(clip: Clip) -> None:
    sound = clip(3)
    turned = measured(np.stack([sound, -sound], axis=1))
    assert turned.speech.level == pytest.approx(measured(sound).speech.level, abs=0.1)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3 * BLOCK_SAMPLES), st.integers(0, 10**6))
def test_measures_do_not_depend_on_how_the_sound_arrives(block: int, seed: int) -> None:
    sound = np.random.default_rng(seed).normal(0, 0.1, 2 * BLOCK_SAMPLES + 1234) * (
        np.arange(2 * BLOCK_SAMPLES + 1234) % 9000 < 6000
    )
    at_once, parts = measured(sound, block=len(sound)), measured(sound, block=max(block, 500))
    assert np.array_equal(at_once.fingerprint, parts.fingerprint)
    assert (at_once.sound, at_once.peaks, at_once.speech, at_once.bandwidth) == (
        parts.sound, parts.peaks, parts.speech, parts.bandwidth,
    )  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.integers(0, 2 * BLOCK_SAMPLES), max_size=6))
def test_blocks_are_evened_without_losing_a_sample(lengths: list[int]) -> None:
    sound = np.arange(sum(lengths), dtype=np.float32)[:, None]
    even = list(even_blocks(iter(np.split(sound, np.cumsum(lengths)[:-1]) if lengths else []), 1))
    assert all(len(block) == BLOCK_SAMPLES for block in even[:-1])
    assert np.array_equal(np.concatenate([np.zeros((0, 1)), *even]), sound)


def test_a_decoded_copy_has_the_same_hash(clip: Clip) -> None:
    file = io.BytesIO()
    soundfile.write(file, clip(1), RATE, format="FLAC")
    file.seek(0)
    back, _ = soundfile.read(file, dtype="float32")
    assert measured(back).sound == measured(pcm16(clip(1))).sound
