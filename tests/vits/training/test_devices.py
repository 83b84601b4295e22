"""On a GPU, no tensor of VITS is on the wrong device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from device_life import live
from simulated_device import simulated_device
from small_voice import HIGH, small_network, small_settings, write_transformers_folder


def test_a_voice_lives_on_a_gpu_as_on_a_cpu(tmp_path: Path) -> None:
    small = small_settings(hidden_size=8, layers=1, flow_steps=2, vocoder=HIGH)
    base = write_transformers_folder(tmp_path, small_network(small))
    options = {"base_model": str(base), "discriminator_narrowing": 16}
    expected = live("vits", options, tmp_path / "cpu", torch.device("cpu"))
    with simulated_device() as (device, _):
        found = live("vits", options, tmp_path / "gpu", device)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
