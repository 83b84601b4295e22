"""The distance of mels: nothing for the same sound, a factor for a factor, and deaf to padding and the room's noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vtune_hibari.training.losses import mel_distance

HOP = 300


def sound(frames: int, seed: int = 0, level: float = 0.1) -> torch.Tensor:
    random = np.random.default_rng(seed)
    swell = np.repeat(random.uniform(0.2, 1, frames), HOP)
    return torch.from_numpy((level * swell * random.standard_normal(frames * HOP)).astype(np.float32))


def distance(made: torch.Tensor, recorded: torch.Tensor) -> float:
    (row,) = mel_distance(made[None], recorded[None], torch.tensor([len(made) // HOP]))
    return float(row)


def test_a_louder_sound_is_as_far_away_as_it_is_louder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vtune_hibari.training.losses.NOISE_FACTOR", 0.0)
    recorded = sound(60)
    assert distance(recorded, recorded) == 0
    assert distance(2 * recorded, recorded) == pytest.approx(math.log(2), rel=0.05)  # the floor takes a little


def test_padding_and_neighbours_change_nothing() -> None:
    made, recorded = [sound(50, 1), sound(80, 2)], [sound(50, 3), sound(80, 4)]

    def padded(sounds: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(sounds, batch_first=True)

    together = mel_distance(padded(made), padded(recorded), torch.tensor([50, 80]))
    assert together.tolist() == pytest.approx([distance(*pair) for pair in zip(made, recorded, strict=True)], rel=1e-4)


def test_a_voice_is_not_asked_for_the_noise_of_the_room() -> None:
    speech = sound(80)
    speech[: 20 * HOP] = 0  # a pause, in which the room is heard
    room = torch.from_numpy(0.004 * np.random.default_rng(5).standard_normal(len(speech)).astype(np.float32))
    recorded = speech + room
    assert distance(speech, recorded) < 0.5 * distance(recorded, recorded + 3 * room)
    assert distance(speech, recorded) < distance(speech + 2 * room, recorded)


def test_silence_has_a_finite_distance() -> None:
    silence = torch.zeros(30 * HOP)
    assert distance(silence, silence) < 0.05
    assert math.isfinite(distance(sound(30), silence))
