"""On a GPU, no tensor of IndexTTS2 is on the wrong device, with the frozen parts on the CPU or beside the GPT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from device_life import live
from simulated_device import simulated_device


@pytest.mark.parametrize("further", [{"frozen_device": "cpu"}, {"frozen_device": "auto", "beams": 2}])
def test_a_voice_lives_on_a_gpu_as_on_a_cpu(further: dict[str, Any], tiny: Path, tmp_path: Path) -> None:
    options = {
        "base_model": str(tiny),
        "normaliser": "basic",
        "max_codes": 8,
        "flow_steps": 1,
        "dropout": 0.0,
        **further,
    }
    expected = live("indextts2", options, tmp_path / "cpu", torch.device("cpu"))
    with simulated_device() as (device, _):
        found = live("indextts2", options, tmp_path / "gpu", device)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name
