"""A base from whose speech parts are made, and a cache of its own for them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import huggingface_hub
import pytest
import torch
from small_voice import small_network, small_settings

from vtune_vits.network.voice import VitsNetwork
from vtune_vits.training.own_speech import Phonemes


@pytest.fixture
def phonemes() -> Phonemes:
    """Return what the base can read."""
    return Phonemes(tuple(range(3, 40)), 0)


@pytest.fixture
def network() -> VitsNetwork:
    """Return a random base that is so loud that its latents can be heard."""
    made = small_network(small_settings(spectrogram_bins=257)).requires_grad_(False)
    with torch.no_grad():
        for parameter in made.decoder.parameters():
            parameter *= 3
    return made


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of model files."""
    here = partial(huggingface_hub.cached_assets_path, assets_dir=tmp_path)
    monkeypatch.setattr(huggingface_hub, "cached_assets_path", here)
    return tmp_path
