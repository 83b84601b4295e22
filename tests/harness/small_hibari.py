"""Small random hibari voices, in the file format of the published ones: whole graphs that ONNX Runtime runs.

They speak noise. The graph is written from the network's own description, so that reading a file back is a test of
names, transposed matrices and scales.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vtune_hibari.base import HibariBase
from vtune_hibari.network.settings import BlockStackSettings, HibariSettings, TextEncoderSettings
from vtune_hibari.network.voice import HibariNetwork, new_network
from vtune_hibari.options import HibariOptions

ALIGN_ANYTHING: dict[str, Any] = {"aligner_steps": 2, "min_alignment_confidence": -1000}
"""Options of an engine whose aligner is made in no time and hears nothing."""

SMALL = HibariSettings(
    acoustic_encoder=TextEncoderSettings(width=8, expanded=16, passes=2),
    prosody_encoder=TextEncoderSettings(width=12, expanded=16, passes=3),
    prosody=BlockStackSettings(width=12, dilations=(1, 2, 4), expanded=16),
    decoder=BlockStackSettings(width=16, dilations=(1, 1), expanded=24),
)
"""The shapes of the published voices with a sixteenth of the channels."""


def small_settings(**changes: Any) -> HibariSettings:
    """Return the settings of a voice with about 60,000 parameters; ``changes`` are fields of `HibariSettings`."""
    return replace(SMALL, **changes)


def small_network(settings: HibariSettings | None = None, seed: int = 0) -> HibariNetwork:
    """Return a random network that speaks noise with a pitch, in which no weight is zero."""
    network = new_network(settings or SMALL, seed).requires_grad_(False).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    network.prosody_predictor.conv_out.bias += torch.tensor([1.2, 1.2, 0.5, 0.5])  # about 120 Hz
    network.duration_predictor.conv_out.bias += 1.1  # about two steps for each symbol
    network.decoder.head.bias -= 3.0
    for weight in network.decoder.speaker.parameters():
        weight.zero_()  # a base has no speaker of its own
    return network


def write_small_onnx(folder: Path, network: HibariNetwork | None = None, int8: bool = True) -> Path:
    """Write a small voice as the package publishes voices, and return the path of the file."""
    import onnx
    from hibari_graph import hibari_graph, quantised

    folder.mkdir(parents=True, exist_ok=True)
    model = hibari_graph(network or small_network())
    path = folder / "small.onnx"
    onnx.save(quantised(model, folder) if int8 else model, str(path))
    for name in ("float.onnx", "int8.onnx"):
        (folder / name).unlink(missing_ok=True)
    return path


def new_base(path: Path, **options: Any) -> HibariBase:
    """Return the state of the engine for a base, with engine options."""
    return HibariBase(HibariOptions.model_validate({"base_model": str(path), **options}), torch.device("cpu"))
