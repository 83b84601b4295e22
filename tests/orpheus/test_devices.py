"""On a GPU, no tensor of Orpheus is on the wrong device, with the codec on the CPU or beside the network."""

from __future__ import annotations

from pathlib import Path

from both_devices import lives_alike


def test_a_voice_lives_on_a_gpu_as_on_a_cpu(tiny: Path, tmp_path: Path) -> None:
    options = [{"base_model": str(tiny), "codec_device": device, "max_new_tokens": 28} for device in ("cpu", "auto")]
    lives_alike("orpheus", options, tmp_path)
