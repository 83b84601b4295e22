"""A clip's pitch is what the network would say: none in pauses, and the measured one everywhere else."""

from __future__ import annotations

import numpy as np
import torch
from small_hibari import small_network

from vtune_hibari.training.rows import clip_pitch


def test_voiceless_sounds_have_a_pitch_and_pauses_have_none() -> None:
    network = small_network()
    network.prosody_predictor.conv_out.weight *= 0
    network.prosody_predictor.conv_out.bias[:2] = 2.0  # the network says 200 Hz everywhere
    ids, durations = np.array([0, 50, 60, 0], np.int32), np.array([10, 10, 10, 10])
    frames = 2 * int(durations.sum())
    time = np.arange(frames * 300) / 24_000
    voice = sum(np.cos(2 * np.pi * 120 * number * time) for number in range(1, 9)) * 0.05
    voice[30 * 300 : 36 * 300] = 0  # a short voiceless sound
    found, melody = clip_pitch(network, voice.astype(np.float32), ids, durations)
    np.testing.assert_allclose(melody, 120, rtol=0.02)
    assert found.shape == (frames,)
    np.testing.assert_allclose(found, 120, rtol=0.02)


def test_a_recording_without_voice_keeps_the_pitch_of_the_network() -> None:
    network = small_network()
    ids, durations = np.array([0, 50, 0], np.int32), np.array([5, 5, 5])
    found, melody = clip_pitch(network, np.zeros(15 * 600, np.float32), ids, durations)
    with torch.no_grad():
        text = torch.from_numpy(ids).long()[None]
        reading = network.read(text, torch.ones_like(text, dtype=torch.bool))
        predicted = network.predict_prosody(reading, torch.from_numpy(durations)[None]).f0[0]
    np.testing.assert_array_equal(found, predicted.numpy())
    np.testing.assert_array_equal(melody, predicted.numpy())


def test_pauses_of_the_network_have_no_pitch_but_where_a_voice_is_heard() -> None:
    network = small_network()
    time = np.arange(60 * 300) / 24_000
    voice = sum(np.cos(2 * np.pi * 150 * number * time) for number in range(1, 9)) * 0.05
    voice[30 * 300 :] = 0
    ids, durations = np.array([0, 50, 0], np.int32), np.array([10, 10, 10])
    network.prosody_predictor.conv_out.weight *= 0
    network.prosody_predictor.conv_out.bias[:2] = torch.tensor([2.0, 0.1])  # every other frame is a pause: 10 Hz
    found, melody = clip_pitch(network, voice.astype(np.float32), ids, durations)
    np.testing.assert_allclose(found[2:28], 150, rtol=0.02)
    np.testing.assert_allclose(found[33::2], 10, rtol=1e-3)
    np.testing.assert_allclose(melody[::2], 150, rtol=0.02)
    np.testing.assert_allclose(melody[1::2], 7.5, rtol=0.02)
