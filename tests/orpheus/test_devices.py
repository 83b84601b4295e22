"""On a GPU, no tensor of Orpheus is on the wrong device, with the codec on the CPU or beside the network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from device_life import live
from simulated_device import simulated_device


@pytest.mark.parametrize("codec_device", ["cpu", "auto"])
def test_a_voice_lives_on_a_gpu_as_on_a_cpu(codec_device: str, tiny: Path, tmp_path: Path) -> None:
    options = {"base_model": str(tiny), "codec_device": codec_device, "max_new_tokens": 28}
    expected = live("orpheus", options, tmp_path / "cpu", torch.device("cpu"))
    with simulated_device() as (device, _):
        found = live("orpheus", options, tmp_path / "gpu", device)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
