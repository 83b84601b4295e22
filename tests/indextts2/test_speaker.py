"""The parts of CAM++ are compared with sums written out, and the whole network with its properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune_indextts2.speaker.campplus import CAMPPlus, Statistics
from vtune_indextts2.speaker.dense_blocks import MaskedConvolution
from vtune_indextts2.speaker.input_head import Head


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def network() -> CAMPPlus:
    torch.manual_seed(0)
    small = CAMPPlus(
        feat_dim=20,
        embedding_size=6,
        growth_rate=4,
        bn_size=2,
        init_channels=8,
        layers=(2, 3),
        dilations=(1, 2),
        segment=10,
    )
    for name, tensor in small.state_dict().items():  # as after training: no norm leaves its input as it is
        if name.endswith("running_mean"):
            tensor.copy_(0.2 * torch.randn_like(tensor))
        elif name.endswith("running_var"):
            tensor.copy_(0.1 + 0.1 * torch.rand_like(tensor))
    return small.requires_grad_(False)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 50), st.integers(1, 12), st.integers(1, 3))
def test_a_mask_comes_from_the_clip_and_from_a_frames_own_segment(frames: int, segment: int, dilation: int) -> None:
    torch.manual_seed(1)
    layer = MaskedConvolution(inputs=6, outputs=4, kernel=3, dilation=dilation, segment=segment).double()
    x = noise(1, 6, frames).double()
    with torch.no_grad():
        got = layer(x)[0].numpy()
    w = {name: tensor.squeeze(-1).numpy() for name, tensor in layer.state_dict().items()}
    clip = x[0].numpy()
    for frame in range(frames):
        start = frame // segment * segment
        context = clip.mean(axis=1) + clip[:, start : start + segment].mean(axis=1)
        inner = np.maximum(w["linear1.weight"] @ context + w["linear1.bias"], 0)
        mask = 1 / (1 + np.exp(-(w["linear2.weight"] @ inner + w["linear2.bias"])))
        local = np.zeros(4)
        for tap in range(3):
            source_frame = frame + (tap - 1) * dilation
            if 0 <= source_frame < frames:
                local += layer.linear_local.weight[..., tap].detach().numpy() @ clip[:, source_frame]
        np.testing.assert_allclose(got[:, frame], local * mask, atol=1e-12)


def test_statistics_are_mean_and_unbiased_deviation() -> None:
    x = noise(2, 5, 7).double()
    expected = np.concatenate([x.numpy().mean(-1), x.numpy().std(-1, ddof=1)], axis=1)
    np.testing.assert_allclose(Statistics()(x)[..., 0].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("bins", "left"), [(80, 10), (20, 3), (8, 1), (9, 2)])
def test_the_head_keeps_time_and_halves_frequency_three_times(bins: int, left: int) -> None:
    head = Head(bins).eval()
    assert head(noise(1, bins, 11)).shape == (1, head.out_channels, 11)
    assert head.out_channels == 32 * left


def test_a_batch_is_its_clips(network: CAMPPlus) -> None:
    clips = noise(3, 57, 20)
    together = network(clips)
    assert together.shape == (3, 6)
    assert float(torch.pdist(together).min()) > 0.1
    for clip, embedding in zip(clips, together, strict=True):
        torch.testing.assert_close(network(clip[None])[0], embedding, rtol=1e-4, atol=1e-5)


def test_the_order_of_time_is_heard_but_nothing_is_learnt_from_a_clip(network: CAMPPlus) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    clip = noise(1, 57, 20)
    first = network(clip)
    assert not torch.allclose(network(clip.flip(1)), first)
    assert torch.equal(network(clip), first)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_it_normalises_by_what_it_holds_without_being_told() -> None:
    assert not any(part.training for part in CAMPPlus(feat_dim=8, layers=(1,), dilations=(1,)).modules())


def test_the_shortest_clip_and_silence_give_numbers(network: CAMPPlus) -> None:
    assert network(noise(1, 3, 20)).isfinite().all()
    assert network(torch.zeros(1, 40, 20)).isfinite().all()
    for frames in (0, 1, 2):
        with pytest.raises(ValueError, match=f"{frames} frames are too few: a speaker embedding takes at least 3"):
            network(noise(1, frames, 20))


def test_it_computes_where_its_tensors_are() -> None:
    with torch.device("meta"):
        network = CAMPPlus()
    assert network(torch.zeros(2, 250, 80, device="meta")).shape == (2, 192)
