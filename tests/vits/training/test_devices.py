"""On a GPU, no tensor of VITS is on the wrong device."""

from __future__ import annotations

from pathlib import Path

from both_devices import lives_alike
from small_voice import HIGH, small_network, small_settings, write_transformers_folder


def test_a_voice_lives_on_a_gpu_as_on_a_cpu(tmp_path: Path) -> None:
    small = small_settings(hidden_size=8, layers=1, flow_steps=2, vocoder=HIGH)
    base = write_transformers_folder(tmp_path, small_network(small))
    options = [{"base_model": str(base), "discriminator_narrowing": 16}]
    lives_alike("vits", options, tmp_path)
