"""What the classifier hears has the bands of the mel scale, and nothing of level and microphone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vtune_hibari.alignment.spectra import log_mels, mel_filters, normalise


def test_the_bands_are_those_of_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    theirs = librosa.filters.mel(sr=24_000, n_fft=1024, n_mels=64, fmin=50, fmax=8_000, htk=True, norm=None)
    np.testing.assert_allclose(mel_filters(64, 1024, 50, 8_000).numpy(), theirs, atol=1e-5)


def test_level_and_microphone_make_no_difference() -> None:
    random = np.random.default_rng(0)
    sound = torch.from_numpy(random.standard_normal(24_000).astype(np.float32))
    mels = log_mels(sound)
    assert mels.shape == (64, 80)
    colour = torch.linspace(-2, 3, 64)[:, None]
    torch.testing.assert_close(normalise(log_mels(0.05 * sound) + colour), normalise(mels), atol=1e-3, rtol=0)
