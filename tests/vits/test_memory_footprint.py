"""The estimate of a training's memory against what autograd really keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_voice import MEDIUM, new_base, small_network, small_settings, write_piper_checkpoint

import vtune
from vtune_vits import engine_info
from vtune_vits.memory_footprint import estimate
from vtune_vits.options import VitsOptions
from vtune_vits.training.spectral_loss import levelled, stft_loss

LORA = vtune.LoraSettings(rank=4, alpha=8, targets=("sound",))


SHAPES = {"hidden_size": 64, "flow_size": 64, "flow_layers": 4, "posterior_layers": 16}
SETTINGS = small_settings(**SHAPES, vocoder=MEDIUM)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> VitsOptions:
    path = write_piper_checkpoint(tmp_path_factory.mktemp("base"), small_network(SETTINGS))
    return VitsOptions(base_model=str(path), discriminator_narrowing=16)


def kept_bytes(model: Any, frames: int) -> int:
    """Return the bytes that a forward pass of one clip keeps for the backward pass, weights left out."""
    weights = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    batch = {
        "input_ids": torch.ones(1, 20, dtype=torch.long),
        "text_lengths": torch.tensor([20]),
        "samples": 0.1 * torch.randn(1, 256 * frames),
        "frames": torch.tensor([frames]),
        "items": torch.tensor([frames]),
        "lots": torch.tensor([0.3], dtype=torch.float64),
        "f0": torch.full((1, frames), 120.0),
        "voiced": torch.ones(1, frames, dtype=torch.bool),
    }
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(**batch)
        loss = output["loss"] + stft_loss(*levelled(output["recorded"], output["made"]))
    assert loss.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("vocoder", ["own", "source_filter"])
def test_the_estimate_is_near_what_autograd_keeps(options: VitsOptions, vocoder: str) -> None:
    options = options.model_copy(update={"vocoder": vocoder})
    footprint = estimate(options, LORA, engine_info().lora_targets)
    network = small_network(options.network_settings(SETTINGS)).requires_grad_(False)
    model = vtune.attach_lora(network, LORA, engine_info().lora_targets)
    model.get_base_model().posterior_encoder.requires_grad_(True)  # type: ignore[operator]

    short, long = kept_bytes(model, 100), kept_bytes(model, 300)

    per_sample = (long - short) / (256 * 200)
    assert footprint.token_bytes == pytest.approx(per_sample, rel=0.35)
    segment = short - 256 * 100 * per_sample
    assert footprint.tokens_per_clip * footprint.token_bytes == pytest.approx(segment, rel=0.35)


def test_what_is_trained_is_counted(options: VitsOptions) -> None:
    footprint = estimate(options, LORA, engine_info().lora_targets)
    network = new_base(Path(options.base_model)).new_network()
    assert footprint.parameters == sum(parameter.numel() for parameter in network.parameters())
    posterior = sum(parameter.numel() for parameter in network.posterior_encoder.parameters())
    without = estimate(options.model_copy(update={"adversarial_weight": 0.0}), LORA, engine_info().lora_targets)
    assert without.part_parameters == posterior
    assert footprint.part_parameters > posterior
