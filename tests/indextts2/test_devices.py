"""On a GPU, no tensor of IndexTTS2 is on the wrong device, with the frozen parts on the CPU or beside the GPT."""

from __future__ import annotations

from pathlib import Path

from both_devices import lives_alike


def test_a_voice_lives_on_a_gpu_as_on_a_cpu(tiny: Path, tmp_path: Path) -> None:
    options = [
        {"base_model": str(tiny), "normaliser": "basic", "max_codes": 8, "flow_steps": 1, "dropout": 0.0, **further}
        for further in ({"frozen_device": "cpu"}, {"frozen_device": "auto", "beams": 2})
    ]
    lives_alike("indextts2", options, tmp_path)
