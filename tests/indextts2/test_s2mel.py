from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vtune import EngineError
from vtune_indextts2.s2mel.flow import solve
from vtune_indextts2.s2mel.length_regulator import LengthRegulator, target_frames
from vtune_indextts2.s2mel.network import S2Mel
from vtune_indextts2.s2mel.settings import S2MelSettings
from vtune_indextts2.s2mel.timestep import TimestepEmbedder
from vtune_indextts2.s2mel.transformer import (
    DiffusionBlock,
    DiffusionTransformer,
    SwiGLUFeedForward,
    rotary_table,
    rotate,
)
from vtune_indextts2.s2mel.wavenet import WaveNet
from vtune_indextts2.state_dicts import load_strictly

BINS, STYLE, CONTENT, WIDTH = 5, 3, 6, 8
SECTION: dict[str, Any] = {
    "dit_type": "DiT",
    "style_encoder": {"dim": STYLE},
    "length_regulator": {"channels": CONTENT, "in_channels": 4, "sampling_ratios": [1, 1]},
    "DiT": {"hidden_dim": WIDTH, "num_heads": 2, "depth": 5, "in_channels": BINS, "content_dim": CONTENT},
    "wavenet": {"hidden_dim": 10, "num_layers": 2, "kernel_size": 5, "dilation_rate": 2},
}


def s2mel() -> S2Mel:
    torch.manual_seed(0)
    return S2Mel(S2MelSettings.read(SECTION, "config.yaml"), (7, 5, 4)).double().eval().requires_grad_(False)


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def weights(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def linear(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)


def convolve(x: np.ndarray, w: dict[str, np.ndarray], name: str, dilation: int = 1, mode: str = "constant") -> Any:
    """Convolve ``[C, T]`` to ``[out, T]``, one tap after the other."""
    kernel, bias = w[f"{name}.weight"], w[f"{name}.bias"]
    reach = dilation * (kernel.shape[2] - 1) // 2
    padded = np.pad(x, ((0, 0), (reach, reach)), mode=mode)  # type: ignore[call-overload]
    taps = (kernel[:, :, k] @ padded[:, k * dilation :][:, : x.shape[1]] for k in range(kernel.shape[2]))
    return sum(taps) + bias[:, None]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_target_frames_are_the_whole_part_of_43_in_25() -> None:
    assert all(target_frames(codes) == 43 * codes // 25 for codes in range(5000))


def test_the_regulator_is_its_definition() -> None:
    torch.manual_seed(0)
    regulator = LengthRegulator(6, 4, [1, 1]).double().requires_grad_(False)
    w = weights(regulator)
    x = randn(1, 7, 4)
    rows = linear(x[0].numpy(), w, "content_in_proj")[[index * 7 // 16 for index in range(16)]].T
    for layer in (0, 3):
        rows = convolve(rows, w, f"model.{layer}")
        rows = (rows - rows.mean()) / np.sqrt(rows.var() + 1e-5)
        rows = rows * w[f"model.{layer + 1}.weight"][:, None] + w[f"model.{layer + 1}.bias"][:, None]
        rows = rows * np.tanh(np.log1p(np.exp(rows)))
    expected = convolve(rows, w, "model.6").T
    np.testing.assert_allclose(regulator(x, torch.tensor([16]))[0].numpy(), expected, rtol=0, atol=1e-12)


def test_frames_beyond_a_target_are_zero_and_the_others_are_those_of_the_longest() -> None:
    regulator = LengthRegulator(6, 4, [1]).double().requires_grad_(False)
    x = randn(1, 9, 4).expand(2, -1, -1)
    out = regulator(x, torch.tensor([14, 5]))
    assert out.shape == (2, 14, 6)
    assert not out[1, 5:].any()
    torch.testing.assert_close(out[1, :5], out[0, :5], rtol=0, atol=1e-12)


def test_the_time_embedding_is_its_definition() -> None:
    module = TimestepEmbedder(4).double().requires_grad_(False)
    w = weights(module)
    for t in (0.0, 0.04, 1.0):
        angles = [1000 * t * 10_000 ** (-i / 128) for i in range(128)]
        hidden = linear(np.array([*map(math.cos, angles), *map(math.sin, angles)]), w, "mlp.0")
        expected = linear(hidden * sigmoid(hidden), w, "mlp.2")
        np.testing.assert_allclose(module(randn(1).fill_(t))[0].numpy(), expected, rtol=0, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 2**31))
def test_turned_queries_and_keys_know_only_their_distance(m: int, n: int, shift: int, seed: int) -> None:
    torch.manual_seed(seed)
    q, k = randn(1, 1, 1, 1, 8), randn(1, 1, 1, 1, 8)
    table = rotary_table(81, 8, torch.device("cpu"))

    def score(place: int, other: int) -> torch.Tensor:
        return (rotate(q, table[place : place + 1]) * rotate(k, table[other : other + 1])).sum()

    torch.testing.assert_close(score(m, n), score(m + shift, n + shift), rtol=0, atol=1e-4)


def test_the_feed_forward_is_rounded_up_to_256() -> None:
    with torch.device("meta"):
        assert [SwiGLUFeedForward(width).w1.out_features for width in (32, 96, 97, 512)] == [256, 256, 512, 1536]


def test_a_block_is_its_definition() -> None:
    torch.manual_seed(0)
    heads, frames, width = 2, 5, 8
    block = DiffusionBlock(width, heads, takes_skip=True).double().requires_grad_(False)
    block.attention_norm.norm.weight.uniform_(0.5, 1.5)
    block.ffn_norm.norm.weight.uniform_(0.5, 1.5)
    w = weights(block)
    x, skip, time = randn(1, frames, width), randn(1, frames, width), randn(1, width)
    skips = [randn(1, frames, width), skip]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        scale, shift = np.split(linear(time[0].numpy(), w, f"{name}.project_layer"), 2)
        rms = np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-5)
        return scale * (x / rms * w[f"{name}.norm.weight"]) + shift

    def turn(x: np.ndarray) -> np.ndarray:
        pairs = x[:, ::2] + 1j * x[:, 1::2]
        speeds = 10_000.0 ** -(np.arange(0, x.shape[1], 2) / x.shape[1])
        pairs = pairs * np.exp(1j * np.outer(np.arange(frames), speeds))
        return np.stack([pairs.real, pairs.imag], axis=-1).reshape(x.shape)

    h = linear(np.concatenate([x[0], skip[0]], axis=-1), w, "skip_in_linear")
    q, k, v = np.split(linear(norm(h, "attention_norm"), w, "attention.wqkv"), 3, axis=-1)
    attended = []
    for part in (slice(0, 4), slice(4, 8)):
        scores = np.exp(turn(q[:, part]) @ turn(k[:, part]).T / 2)
        attended.append(scores / scores.sum(axis=-1, keepdims=True) @ v[:, part])
    h = h + linear(np.concatenate(attended, axis=-1), w, "attention.wo")
    n = norm(h, "ffn_norm")
    gate = linear(n, w, "feed_forward.w1")
    expected = h + linear(gate * sigmoid(gate) * linear(n, w, "feed_forward.w3"), w, "feed_forward.w2")

    got = block(x, time, None, skips)[0].numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)  # the rotary table is float32
    assert len(skips) == 1


@pytest.mark.parametrize(
    ("depth", "taken"), [(5, {3: 1, 4: 0}), (4, {3: 1}), (13, {7: 5, 8: 4, 9: 3, 10: 2, 11: 1, 12: 0})]
)
def test_later_blocks_take_what_the_earlier_ones_gave_the_last_one_first(depth: int, taken: dict[int, int]) -> None:
    class Spy(nn.Module):
        def __init__(self, place: int, takes_skip: bool) -> None:
            super().__init__()
            self.place, self.takes_skip = place, takes_skip

        def forward(self, x: torch.Tensor, time: torch.Tensor, mask: None, skips: list[torch.Tensor]) -> torch.Tensor:
            if self.takes_skip:
                seen[self.place] = int(skips.pop()[0, 0, 0])
            return torch.full_like(x, self.place)

    seen: dict[int, int] = {}
    transformer = DiffusionTransformer(4, 1, depth)
    spies = [Spy(index, block.skip_in_linear is not None) for index, block in enumerate(transformer.layers)]
    transformer.layers = nn.ModuleList(spies)
    transformer(torch.zeros(1, 2, 4), torch.zeros(1, 4))
    assert seen == taken


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31))
def test_padded_frames_do_not_reach_the_others(frames: int, padding: int, seed: int) -> None:
    torch.manual_seed(seed)
    transformer = DiffusionTransformer(8, 2, 3).double().requires_grad_(False)
    x, time = randn(1, frames + padding, 8), randn(1, 8)
    mask = torch.arange(frames + padding)[None] < frames
    got = transformer(x, time, mask)[:, :frames]
    torch.testing.assert_close(got, transformer(x[:, :frames], time), rtol=0, atol=1e-10)


def test_the_wavenet_is_its_definition() -> None:
    torch.manual_seed(0)
    channels, frames, layers = 4, 11, 3
    module = WaveNet(channels, 3, 2, layers).double().requires_grad_(False)
    w = weights(module)
    x, time = randn(1, channels, frames), randn(1, channels)
    mask = np.arange(frames) < 8
    conditions = convolve(time[0].numpy()[:, None], w, "cond_layer.conv.conv").reshape(layers, 2 * channels, 1)
    h, total = x[0].numpy(), np.zeros((channels, frames))
    for i in range(layers):
        gated = convolve(h, w, f"in_layers.{i}.conv.conv", 2**i, "reflect") + conditions[i]
        out = convolve(np.tanh(gated[:channels]) * sigmoid(gated[channels:]), w, f"res_skip_layers.{i}.conv.conv")
        total += out[-channels:]
        h = (h + out[:channels]) * mask
    got = module(x, time, torch.from_numpy(mask)[None])[0].numpy()
    np.testing.assert_allclose(got, total * mask, rtol=0, atol=1e-12)


def inputs(frames: int) -> dict[str, torch.Tensor]:
    return {
        "x": randn(2, BINS, frames),
        "prompt": randn(2, BINS, frames),
        "t": torch.tensor([0.1, 0.8], dtype=torch.float64),
        "style": randn(2, STYLE),
        "mu": randn(2, frames, CONTENT),
    }


def test_the_transformer_gets_state_prompt_content_and_style_merged() -> None:
    network, given = s2mel().cfm.estimator, inputs(20)
    merged = []
    network.transformer.register_forward_pre_hook(lambda _, args: merged.append(args[0]))
    network(lengths=torch.tensor([20, 20]), **given)
    w = weights(network)
    for row in range(2):
        x, prompt, mu, style = (given[name][row].numpy() for name in ("x", "prompt", "mu", "style"))
        parts = [x.T, prompt.T, linear(mu, w, "cond_projection"), np.tile(style, (20, 1))]
        expected = linear(np.concatenate(parts, axis=-1), w, "cond_x_merge_linear")
        np.testing.assert_allclose(merged[0][row].numpy(), expected, rtol=0, atol=1e-12)


def test_full_lengths_need_no_mask() -> None:
    network, given = s2mel().cfm.estimator, inputs(20)
    context = network.context(given["prompt"], given["style"], given["mu"])
    masked = network.velocity(given["x"], given["t"], context, torch.ones(2, 20, dtype=torch.bool))
    unmasked = network(lengths=torch.tensor([20, 20]), **given)
    torch.testing.assert_close(unmasked, masked, rtol=0, atol=1e-12)


@pytest.mark.parametrize("first", [1, 5, 6, 7, 15, 19])
def test_leaving_out_leading_frames_leaves_the_others_as_they_are(first: int) -> None:
    network, given = s2mel().cfm.estimator, inputs(20)
    assert network.wavenet.reach == 2 + 4
    context = network.context(given["prompt"], given["style"], given["mu"])
    full = network.velocity(given["x"], given["t"], context)
    part = network.velocity(given["x"], given["t"], context, first=first)
    torch.testing.assert_close(part, full[..., first:], rtol=0, atol=1e-12)


class Linear:
    """An estimator whose velocity is a multiple of state, time and context; counts its calls."""

    def __init__(self, state: float = 0.0, time: float = 0.0) -> None:
        self.state, self.time = state, time
        self.contexts = 0
        self.batches: list[int] = []

    def context(self, prompt: torch.Tensor, style: torch.Tensor, mu: torch.Tensor) -> torch.Tensor:
        self.contexts += 1
        return mu.transpose(1, 2) + style.sum(dim=1)[:, None, None] + prompt

    def velocity(self, x: torch.Tensor, t: torch.Tensor, context: torch.Tensor, first: int) -> torch.Tensor:
        assert not x[..., :first].any()
        self.batches.append(len(x))
        return (self.state * x + self.time * t[:, None, None] + context)[..., first:]


def flow_inputs(batch: int = 1, frames: int = 9, prompt: int = 4) -> dict[str, torch.Tensor]:
    noise, ref_mel = randn(batch, BINS, frames), randn(batch, BINS, prompt)
    return {"mu": randn(batch, frames, BINS), "ref_mel": ref_mel, "style": randn(batch, STYLE), "noise": noise}


@pytest.mark.parametrize("guidance", [0.0, 0.7])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_constant_velocity_is_followed_exactly_and_guided(guidance: float, batch: int) -> None:
    given, network = flow_inputs(batch), Linear()
    mel = solve(network, **given, steps=6, guidance=guidance)  # type: ignore[arg-type]
    full = given["mu"].transpose(1, 2) + given["style"].sum(dim=1)[:, None, None]
    expected = given["noise"] + (1 + guidance) * full  # without conditions this velocity is zero
    torch.testing.assert_close(mel[..., 4:], expected[..., 4:], rtol=0, atol=1e-12)
    assert not mel[..., :4].any()
    assert network.contexts == 1
    assert network.batches == [2 * batch if guidance else batch] * 6


@pytest.mark.parametrize("steps", [1, 7])
def test_steps_are_euler_s(steps: int) -> None:
    given = {name: torch.zeros_like(value) for name, value in flow_inputs().items()} | {"noise": randn(1, BINS, 9)}
    mel = solve(Linear(state=-1, time=3), **given, steps=steps, guidance=0.0)  # type: ignore[arg-type]
    h = 1 / steps
    expected = reduce(lambda x, step: x + h * (3 * step * h - x), range(steps), given["noise"])
    torch.testing.assert_close(mel[..., 4:], expected[..., 4:], rtol=0, atol=1e-6)  # times are float32


def test_a_real_flow_leaves_its_inputs_alone_and_tracks_no_gradients() -> None:
    network = s2mel().requires_grad_(True)
    given = flow_inputs(frames=20) | {"mu": randn(1, 20, CONTENT)}
    before = {name: value.clone() for name, value in given.items()}
    mel = network.flow(**given, steps=2, guidance=0.7)
    assert mel.shape == (1, BINS, 20)
    assert not mel.requires_grad
    assert all(torch.equal(given[name], before[name]) for name in given)
    assert not network.project(randn(1, 3, 7)).requires_grad
    assert not network.condition(randn(1, 3, 4), torch.tensor([5])).requires_grad


def test_the_projection_is_its_three_maps_in_a_row() -> None:
    network = s2mel()
    w = weights(network)
    latent = randn(1, 6, 7)
    expected = linear(linear(latent.numpy(), w, "gpt_layer.0"), w, "gpt_layer.1")
    np.testing.assert_allclose(network.project(latent).numpy(), expected, rtol=0, atol=1e-12)


def test_unused_entries_of_the_file_are_passed_over_and_nothing_else() -> None:
    network = s2mel()
    tensors = dict(network.state_dict())
    estimator = "cfm.estimator."
    for name in ("input_pos", "t_embedder.freqs", "t_embedder2.freqs", "x_embedder.weight", "cond_embedder.weight"):
        tensors[estimator + name] = torch.zeros(1)
    tensors[f"{estimator}transformer.layers.2.skip_in_linear.bias"] = torch.zeros(1)
    assert load_strictly(network, tensors, "s2mel.pth", network.unused) == []
    more = f"{estimator}transformer.layers.3.attention_bias"
    assert load_strictly(network, tensors | {more: torch.zeros(1)}, "s2mel.pth", network.unused) == [more]
    del tensors[f"{estimator}transformer.layers.3.skip_in_linear.bias"]
    with pytest.raises(EngineError, match=r"1 missing: cfm\.estimator\.transformer\.layers\.3\.skip_in_linear\.bias"):
        load_strictly(network, tensors, "s2mel.pth", network.unused)


NOT_BUILT: dict[str, dict[str, Any]] = {
    "length_regulator": {"is_discrete": True, "vector_quantize": True, "f0_condition": True, "sampling_ratios": []},
    "DiT": dict.fromkeys(("is_causal", "f0_condition", "time_as_token", "style_as_token"), True)
    | dict.fromkeys(("uvit_skip_connection", "long_skip_connection", "style_condition"), False)
    | {"zero_prompt_speech_token": True, "final_layer_type": "mlp"},
    "wavenet": {"num_layers": 0},
    "style_encoder": {"dim": "wide"},
}


@pytest.mark.parametrize(("part", "key"), [(part, key) for part, keys in NOT_BUILT.items() for key in keys])
def test_what_is_not_built_is_refused_by_name(part: str, key: str) -> None:
    section = SECTION | {part: SECTION[part] | {key: NOT_BUILT[part][key]}}
    with pytest.raises(EngineError, match=rf"config\.yaml: s2mel\.{part}\.{key}: "):
        S2MelSettings.read(section, "config.yaml")


def test_a_missing_section_is_named() -> None:
    with pytest.raises(EngineError, match=r"config\.yaml: s2mel\.DiT: "):
        S2MelSettings.read({name: value for name, value in SECTION.items() if name != "DiT"}, "config.yaml")
