"""On a GPU, no tensor of VITS is on the wrong device."""

from __future__ import annotations

from pathlib import Path

import pytest
from both_devices import lives_alike
from small_voice import HIGH, small_network, small_settings, write_transformers_folder

OPTIONS = {
    "own vocoder": {"discriminator_narrowing": 16},
    "source and filters": {"vocoder": "source_filter", "vocoder_steps": 2},
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_voice_lives_on_a_gpu_as_on_a_cpu(kind: str, tmp_path: Path) -> None:
    small = small_settings(hidden_size=8, layers=1, flow_steps=2, vocoder=HIGH)
    base = write_transformers_folder(tmp_path, small_network(small))
    options = [{"base_model": str(base), **OPTIONS[kind]}]
    lives_alike("vits", options, tmp_path)
