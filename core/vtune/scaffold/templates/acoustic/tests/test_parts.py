"""The parts of the engine: text, spectrograms, alignment, times of words."""

import numpy as np
import pytest
import torch

from acoustic_engine.alignment import align
from acoustic_engine.network import positions_of
from acoustic_engine.spectrogram import HOP_SAMPLES, SAMPLE_RATE, mel_spectrogram, sound_of
from acoustic_engine.speech import word_times
from acoustic_engine.text import characters, normalise


def tone(pitch: float, samples: int = SAMPLE_RATE) -> torch.Tensor:
    times = torch.arange(samples) / SAMPLE_RATE
    return sum((0.1 * torch.sin(2 * torch.pi * harmonic * pitch * times) for harmonic in range(1, 6)), torch.zeros(1))


def test_digits_become_words_or_nothing() -> None:
    assert normalise("Room 7b, please!", spell_digits=True) == "room seven b please!"
    assert normalise("Room 7b, please!", spell_digits=False) == "room b please!"


def test_a_sentence_has_a_pause_at_both_ends() -> None:
    assert characters("a b.").tolist() == [0, 1, 0, 2, 0]


@pytest.mark.parametrize("samples", [1, HOP_SAMPLES, HOP_SAMPLES + 1, 4000])
def test_no_sample_is_left_out(samples: int) -> None:
    assert mel_spectrogram(torch.zeros(samples)).shape == (-(-samples // HOP_SAMPLES), 64)


@pytest.mark.parametrize("pitch", [90.0, 150.0, 260.0])
def test_sound_made_from_a_spectrogram_has_its_pitch(pitch: float) -> None:
    mel = mel_spectrogram(tone(pitch))

    sound = sound_of(mel, torch.Generator().manual_seed(0))

    correlation = np.correlate(sound.numpy(), sound.numpy(), "full")[len(sound) - 1 :]
    period = 20 + int(np.argmax(correlation[20:114]))
    assert abs(SAMPLE_RATE / period - pitch) < 0.05 * pitch
    assert len(sound) == HOP_SAMPLES * len(mel)


def test_alignment_finds_where_a_sound_changes() -> None:
    durations = [4, 9, 3, 7, 5]
    random = np.random.default_rng(0)
    mel = np.concatenate([random.normal(size=(1, 64)).repeat(frames, axis=0) for frames in durations])
    noisy = (mel + random.normal(0, 0.1, mel.shape)).astype(np.float32)

    assert align(noisy, len(durations)).tolist() == durations


@pytest.mark.parametrize(("frames", "letters"), [(1, 1), (5, 5), (7, 5), (200, 3)])
def test_every_frame_belongs_to_a_character_and_every_character_has_a_frame(frames: int, letters: int) -> None:
    durations = align(np.random.default_rng(0).normal(size=(frames, 8)).astype(np.float32), letters)

    assert durations.sum() == frames
    assert durations.min() >= 1
    positions = positions_of(torch.as_tensor(durations, dtype=torch.long)[None], frames)[0]
    assert torch.bincount(positions).tolist() == durations.tolist()


def test_times_of_words_leave_out_the_pauses() -> None:
    times = word_times([0, 1, 2, 0, 3, 0], [2, 3, 4, 1, 5, 9])

    frame_seconds = HOP_SAMPLES / SAMPLE_RATE
    assert [time.word for time in times] == ["ab", "c"]
    assert [time.start for time in times] == pytest.approx([2 * frame_seconds, 10 * frame_seconds])
    assert [time.end for time in times] == pytest.approx([9 * frame_seconds, 15 * frame_seconds])
