"""The encoders that condition the GPT are compared with their formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from vtune_indextts2.gpt.conformer import Conformer, ConformerBlock, PositionalKeyAttention, sinusoids
from vtune_indextts2.gpt.perceiver import HEAD_WIDTH, GammaNorm, Perceiver
from vtune_indextts2.gpt.settings import EncoderSettings


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer_norm(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    deviation = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return (x - x.mean(axis=-1, keepdims=True)) / deviation * w[f"{name}.weight"] + w[f"{name}.bias"]


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


ENCODER = EncoderSettings(
    output_size=8, linear_units=12, attention_heads=2, num_blocks=2, input_layer="conv2d2", perceiver_mult=2
)


def filled(module: Any, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return module.requires_grad_(False)


def arrays(module: Any) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def attention_by_hand(w: dict[str, np.ndarray], x: np.ndarray, places: np.ndarray, name: str = "") -> np.ndarray:
    q, k, v = (x @ w[f"{name}linear_{part}.weight"].T + w[f"{name}linear_{part}.bias"] for part in "qkv")
    p = places @ w[f"{name}linear_pos.weight"].T
    mixed = []
    for head, (u, bias) in enumerate(zip(w[f"{name}pos_bias_u"], w[f"{name}pos_bias_v"], strict=True)):
        own = slice(head * len(u), (head + 1) * len(u))
        scores = ((q[:, own] + u) @ k[:, own].T + (q[:, own] + bias) @ p[:, own].T) / math.sqrt(len(u))
        mixed.append(softmax(scores) @ v[:, own])
    return np.concatenate(mixed, axis=1) @ w[f"{name}linear_out.weight"].T + w[f"{name}linear_out.bias"]


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 12), st.integers(0, 99))
def test_attention_is_the_naive_formula(frames: int, seed: int) -> None:
    attention = filled(PositionalKeyAttention(8, 2), seed)
    x, places = noise(2, frames, 8, seed=seed), noise(frames, 8, seed=seed + 1)
    got = attention(x, places).numpy()
    for row, expected in zip(got, x.numpy(), strict=True):
        np.testing.assert_allclose(row, attention_by_hand(arrays(attention), expected, places.numpy()), atol=1e-12)


def test_a_block_of_the_conformer_is_the_formula() -> None:
    block, frames = filled(ConformerBlock(ENCODER)), 20
    x, places, w = noise(frames, 8).numpy(), noise(frames, 8, seed=1).numpy(), arrays(block)

    def silu(y: np.ndarray) -> np.ndarray:
        return y / (1 + np.exp(-y))

    got = block(torch.from_numpy(x)[None], torch.from_numpy(places))[0].numpy()
    x = x + attention_by_hand(w, layer_norm(x, w, "norm_mha"), places, "self_attn.")
    y = layer_norm(x, w, "norm_conv") @ w["conv_module.pointwise_conv1.weight"][..., 0].T
    value, gate = np.split(y + w["conv_module.pointwise_conv1.bias"], 2, axis=1)
    padded = np.pad(value / (1 + np.exp(-gate)), ((7, 7), (0, 0)))
    kernel = w["conv_module.depthwise_conv.weight"][:, 0]  # (C, 15)
    y = np.stack([(padded[t : t + 15].T * kernel).sum(axis=1) for t in range(frames)])
    y = silu(layer_norm(y + w["conv_module.depthwise_conv.bias"], w, "conv_module.norm"))
    x = x + y @ w["conv_module.pointwise_conv2.weight"][..., 0].T + w["conv_module.pointwise_conv2.bias"]
    y = silu(layer_norm(x, w, "norm_ff") @ w["feed_forward.w_1.weight"].T + w["feed_forward.w_1.bias"])
    x = x + y @ w["feed_forward.w_2.weight"].T + w["feed_forward.w_2.bias"]
    np.testing.assert_allclose(got, layer_norm(x, w, "norm_final"), atol=1e-12)


@pytest.mark.parametrize("frames", [3, 4, 5, 6, 7, 20, 99])
def test_the_conformer_halves_the_frames_and_hears_pairs_of_three(frames: int) -> None:
    conformer, inputs = filled(Conformer(ENCODER, 9)), noise(1, frames, 9)
    assert conformer(inputs).shape == (1, (frames - 1) // 2, 8)
    w, x = arrays(conformer.embed), inputs[0].numpy()
    for frame, got in enumerate(conformer.embed(inputs)[0].numpy()):
        seen = [
            np.einsum("oij,ij->o", w["conv.0.weight"][:, 0], x[2 * frame : 2 * frame + 3, 2 * index : 2 * index + 3])
            for index in range(4)
        ]
        planes = np.maximum(np.stack(seen, axis=1) + w["conv.0.bias"][:, None], 0)  # (O, I')
        projected = w["out.0.weight"] @ planes.ravel() + w["out.0.bias"]
        np.testing.assert_allclose(got, projected * math.sqrt(8), atol=1e-12)


def test_sinusoids_are_the_table_of_the_paper() -> None:
    table = sinusoids(750, 512)
    for index, channel in ((0, 0), (0, 1), (1, 0), (7, 3), (300, 100), (749, 0), (749, 1), (749, 511)):
        angle = index / 10_000 ** (channel // 2 * 2 / 512)
        expected = math.cos(angle) if channel % 2 else math.sin(angle)
        assert float(table[index, channel]) == pytest.approx(expected, abs=2e-4)
    assert table.shape == (750, 512)


@pytest.mark.parametrize(("width", "context"), [(8, 8), (8, 5)])
def test_the_perceiver_is_the_formula(width: int, context: int) -> None:
    perceiver = filled(Perceiver(width, context, latents=3, heads=2, mult=2))
    inputs = noise(6, context)
    w, c = arrays(perceiver), inputs.numpy()
    if context != width:
        c = c @ w["proj_context.weight"].T + w["proj_context.bias"]
    x = w["latents"]
    for layer in range(2):
        keys, values = np.split(np.concatenate([x, c]) @ w[f"layers.{layer}.0.to_kv.weight"].T, 2, axis=1)
        queries = x @ w[f"layers.{layer}.0.to_q.weight"].T
        heads = [np.split(part, 2, axis=1) for part in (queries, keys, values)]
        mixed = [softmax(q @ k.T / math.sqrt(HEAD_WIDTH)) @ v for q, k, v in zip(*heads, strict=True)]
        x = x + np.concatenate(mixed, axis=1) @ w[f"layers.{layer}.0.to_out.weight"].T
        inner = x @ w[f"layers.{layer}.1.0.weight"].T + w[f"layers.{layer}.1.0.bias"]
        value, gate = np.split(inner, 2, axis=1)
        assert value.shape[1] == int(width * 2 * 2 / 3)
        gated = value * 0.5 * gate * (1 + np.vectorize(math.erf)(gate / math.sqrt(2)))
        x = x + gated @ w[f"layers.{layer}.1.2.weight"].T + w[f"layers.{layer}.1.2.bias"]
    x = x / np.sqrt((x**2).mean(axis=1, keepdims=True)) * w["norm.gamma"]
    np.testing.assert_allclose(perceiver(inputs[None])[0].numpy(), x, atol=1e-10)


def test_the_norm_is_root_mean_square_and_takes_silence() -> None:
    norm, x = filled(GammaNorm(8)), noise(4, 8)
    torch.testing.assert_close(norm(x), F.rms_norm(x, (8,), norm.gamma, eps=0.0), rtol=1e-12, atol=0)
    assert not norm(torch.zeros(2, 8, dtype=torch.float64)).any()
