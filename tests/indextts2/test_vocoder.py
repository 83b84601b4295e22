from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune import EngineError
from vtune_indextts2.state_dicts import fold_weight_norm, load_strictly
from vtune_indextts2.vocoder.activation import AntiAliasedSnake, lowpass_filter
from vtune_indextts2.vocoder.bigvgan import UNUSED_ENTRIES, AMPBlock, BigVGAN
from vtune_indextts2.vocoder.settings import BigVGANSettings

CONFIG: dict[str, Any] = {
    "resblock": "1",
    "upsample_rates": [4, 2],
    "upsample_kernel_sizes": [8, 4],
    "upsample_initial_channel": 8,
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 3], [1, 2]],
    "use_tanh_at_final": False,
    "use_bias_at_final": False,
    "activation": "snakebeta",
    "snake_logscale": True,
    "num_mels": 6,
    "sampling_rate": 16_000,
    "hop_size": 8,
}


def designed_filter() -> np.ndarray:
    """Return a sinc that cuts off at a quarter of the rate, with numpy's Kaiser window and the sum 1."""
    beta = 0.1102 * (2.285 * 5 * np.pi * 1.2 + 7.95 - 8.7)
    taps = np.kaiser(12, beta) * np.sinc(0.5 * (np.arange(12) - 5.5))
    return taps / taps.sum()


def snake(x: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    return x + np.sin(np.exp(alpha)[:, None] * x) ** 2 / (np.exp(beta)[:, None] + 1e-9)


def antialiased_snake(x: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Compute the activation by its definition, ``[C, T]``: insert zeros, filter, snake, filter, keep every second
    sample.
    """
    taps = designed_filter()
    stretched = np.zeros((len(x), 2 * (x.shape[1] + 10)))
    stretched[:, ::2] = np.pad(x, ((0, 0), (5, 5)), mode="edge")
    doubled = 2 * np.stack([np.convolve(row, taps) for row in stretched])[:, 15 : 15 + 2 * x.shape[1]]
    bent = np.pad(snake(doubled, alpha, beta), ((0, 0), (5, 6)), mode="edge")
    return np.stack([np.convolve(row, taps, mode="valid")[::2] for row in bent])


def activation(channels: int, seed: int) -> AntiAliasedSnake:
    torch.manual_seed(seed)
    module = AntiAliasedSnake(channels).double().requires_grad_(False)
    module.act.alpha.normal_(std=0.5)
    module.act.beta.normal_(std=0.5)
    return module


def generator(seed: int = 0) -> BigVGAN:
    torch.manual_seed(seed)
    return BigVGAN(BigVGANSettings.read(CONFIG, "config.json")).eval()


def test_the_filter_is_the_designed_one() -> None:
    np.testing.assert_allclose(lowpass_filter(), designed_filter(), rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 20), st.integers(1, 3), st.integers(0, 2**31))
def test_the_activation_is_its_definition(frames: int, channels: int, seed: int) -> None:
    module = activation(channels, seed)
    x = torch.randn(2, channels, frames, dtype=torch.float64)
    alpha, beta = module.act.alpha.numpy(), module.act.beta.numpy()
    expected = np.stack([antialiased_snake(row, alpha, beta) for row in x.numpy()])
    np.testing.assert_allclose(module(x).numpy(), expected, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=20)
@given(st.floats(-3, 3), st.integers(1, 30), st.integers(0, 2**31))
def test_a_constant_passes_the_filters_unchanged(value: float, frames: int, seed: int) -> None:
    module = activation(1, seed)
    x = torch.full((1, 1, frames), value, dtype=torch.float64)
    expected = snake(x[0].numpy(), module.act.alpha.numpy(), module.act.beta.numpy())
    np.testing.assert_allclose(module(x)[0].numpy(), expected, rtol=0, atol=1e-10)


def test_the_activation_leaves_what_it_is_given_as_it_was() -> None:
    x = torch.randn(1, 2, 9, dtype=torch.float64)
    before = x.clone()
    activation(2, 0)(x)
    assert torch.equal(x, before)


def test_a_residual_block_of_zero_convolutions_changes_nothing() -> None:
    block = AMPBlock(3, 3, [1, 3]).requires_grad_(False)
    for parameter in (*block.convs1.parameters(), *block.convs2.parameters()):
        parameter.zero_()
    x = torch.randn(1, 3, 12)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("frames", [1, 7])
def test_the_waveform_has_a_hop_a_frame_and_stays_within_one(frames: int) -> None:
    network = generator()
    with torch.no_grad():
        network.conv_post.weight *= 100
    waveform = network(torch.randn(2, CONFIG["num_mels"], frames))
    assert waveform.shape == (2, 1, frames * CONFIG["hop_size"])
    assert waveform.abs().max() == 1
    assert not waveform.requires_grad


def test_a_batch_is_its_clips() -> None:
    network = generator().double()
    mel = torch.randn(3, CONFIG["num_mels"], 5, dtype=torch.float64)
    together = network(mel)
    torch.testing.assert_close(together, torch.cat([network(clip[None]) for clip in mel]), rtol=0, atol=1e-12)


def test_stored_with_weight_norm_or_folded_is_the_same_and_filters_are_passed_over() -> None:
    network = generator()
    folded = network.state_dict()
    pairs: dict[str, torch.Tensor] = {"activation_post.upsample.filter": torch.zeros(1, 1, 12)}
    for name, tensor in folded.items():
        if name.endswith(".weight"):
            norm = tensor.flatten(1).norm(dim=1).view(-1, *[1] * (tensor.ndim - 1))
            pairs |= {f"{name}_g": norm, f"{name}_v": 3 * tensor}
        else:
            pairs[name] = tensor
    again = generator(seed=1)
    assert load_strictly(again, fold_weight_norm(pairs), "bigvgan_generator.pt", UNUSED_ENTRIES) == []
    mel = torch.randn(1, CONFIG["num_mels"], 4)
    torch.testing.assert_close(again(mel), network(mel), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("resblock", "2"),
        ("activation", "snake"),
        ("snake_logscale", False),
        ("use_tanh_at_final", True),
        ("use_bias_at_final", True),
        ("hop_size", 256),
        ("upsample_kernel_sizes", [8]),
        ("resblock_dilation_sizes", [[1, 3]]),
        ("num_mels", 0),
    ],
)
def test_what_is_not_built_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(EngineError, match=rf"config\.json: .*{key}"):
        BigVGANSettings.read({**CONFIG, key: value}, "config.json")


@pytest.mark.parametrize("key", list(CONFIG))
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(EngineError, match=rf"config\.json: {key}: "):
        BigVGANSettings.read({name: value for name, value in CONFIG.items() if name != key}, "config.json")


def test_keys_that_only_training_reads_are_ignored() -> None:
    more = {**CONFIG, "segment_size": 8192, "discriminator": "cqtd"}
    assert BigVGANSettings.read(more, "config.json") == BigVGANSettings.read(CONFIG, "config.json")
