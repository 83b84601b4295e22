"""A pulse train is the sum of its harmonics, which are added up one by one here."""

from __future__ import annotations

import numpy as np
import torch

from vtune.toolkit.pulses import pulse_train

RATE, HOP, HIGHEST = 24_000, 300, 11_000.0


def test_the_pulse_train_is_the_sum_of_its_harmonics() -> None:
    f0 = np.array([0.0, 0.0, 120.0, 131.0, 140.0, 90.0, 0.0, 251.0])
    (train,) = pulse_train(torch.tensor(f0)[None].float(), torch.tensor([len(f0)]), RATE, HOP, HIGHEST).double().numpy()
    middles = (np.arange(len(f0)) + 0.5) * HOP - 0.5
    pitch = np.interp(np.arange(len(train)), middles, f0)
    phase = 2 * np.pi * np.cumsum(np.maximum(pitch, 40.0)) / RATE
    expected = [
        sum(np.cos(harmonic * angle) for harmonic in range(1, int(HIGHEST / hertz) + 1)) if hertz > 40 else 0.0
        for hertz, angle in zip(pitch, phase, strict=True)
    ]
    count = HIGHEST / np.maximum(pitch, 40.0)
    # At a threshold, the last digit decides whether there is a pulse train, or one harmonic more.
    clear = (np.abs(pitch - 40) > 0.01) & ((pitch < 40) | (np.abs(count - np.rint(count)) > 1e-6))
    assert clear.mean() > 0.99
    assert np.abs(train - np.array(expected))[clear].max() < 2e-3
    unvoiced = pitch < 39.9  # the pitch rises from 0 in the first third of the way between two middles
    assert unvoiced.any()
    assert (train[unvoiced] == 0).all()


def test_a_row_is_the_same_beside_a_longer_one() -> None:
    f0 = torch.tensor([[100.0, 120.0, 0.0, 0.0], [200.0, 210.0, 190.0, 180.0]])
    together = pulse_train(f0, torch.tensor([2, 4]), RATE, HOP, HIGHEST)
    alone = pulse_train(f0[:1, :2], torch.tensor([2]), RATE, HOP, HIGHEST)
    assert torch.equal(together[0, : 2 * HOP], alone[0])
    assert not together[0, 2 * HOP :].any()
