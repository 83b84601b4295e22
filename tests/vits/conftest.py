"""Small random bases of VITS in every format; they speak noise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from asset_cache import assets_in
from small_voice import HIGH, small_network, small_settings, write_piper_checkpoint, write_transformers_folder


@pytest.fixture(scope="session", autouse=True)
def assets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep posterior encoders that tests make out of the user's cache, in this process and in those that it starts."""
    with assets_in(tmp_path_factory.mktemp("assets")) as folder:
        yield folder


@pytest.fixture(scope="session")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VitsModel that reads letters, at 22,050 Hz: it needs no package that reads phonemes."""
    network = small_network(small_settings(vocoder=HIGH))
    return write_transformers_folder(tmp_path_factory.mktemp("letters"), network)


@pytest.fixture(scope="session")
def low_rate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VitsModel at 16,000 Hz, as all of MMS-TTS."""
    network = small_network(small_settings(vocoder=HIGH, sample_rate=16_000))
    return write_transformers_folder(tmp_path_factory.mktemp("low"), network)


@pytest.fixture(scope="session")
def speakers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Piper checkpoint of three speakers that reads letters."""
    network = small_network(small_settings(speakers=3, speaker_size=4))
    return write_piper_checkpoint(tmp_path_factory.mktemp("speakers"), network, phoneme_type="text")
