"""A clip's pitch is what the network would say: none in pauses, and the measured one everywhere else."""

from __future__ import annotations

import numpy as np
import torch
from small_hibari import small_network

from vtune_hibari.training.rows import network_f0


def test_voiceless_sounds_have_a_pitch_and_pauses_have_none() -> None:
    network = small_network()
    network.prosody_predictor.conv_out.weight *= 0
    network.prosody_predictor.conv_out.bias[:2] = 2.0  # the network says 200 Hz everywhere
    ids, durations = np.array([0, 50, 60, 0], np.int32), np.array([10, 10, 10, 10])
    frames = 2 * int(durations.sum())
    time = np.arange(frames * 300) / 24_000
    voice = sum(np.cos(2 * np.pi * 120 * number * time) for number in range(1, 9)) * 0.05
    voice[30 * 300 : 36 * 300] = 0  # a short voiceless sound
    found = network_f0(network, voice.astype(np.float32), ids, durations)
    assert found.shape == (frames,)
    np.testing.assert_allclose(found, 120, rtol=0.02)
    network.prosody_predictor.conv_out.bias[:2] = 0.1  # now it says 10 Hz: a pause everywhere
    found = network_f0(network, voice.astype(np.float32), ids, durations)
    assert (found[31:35] < 40).all()
    np.testing.assert_allclose(found[:28], 120, rtol=0.02)


def test_a_recording_without_voice_keeps_the_pitch_of_the_network() -> None:
    network = small_network()
    ids, durations = np.array([0, 50, 0], np.int32), np.array([5, 5, 5])
    found = network_f0(network, np.zeros(15 * 600, np.float32), ids, durations)
    with torch.no_grad():
        text = torch.from_numpy(ids).long()[None]
        reading = network.read(text, torch.ones_like(text, dtype=torch.bool))
        predicted = network.predict_prosody(reading, torch.from_numpy(durations)[None]).f0[0]
    np.testing.assert_array_equal(found, predicted.numpy())
