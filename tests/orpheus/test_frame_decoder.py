from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from snac import SNAC

from vtune_orpheus.base import OrpheusBase
from vtune_orpheus.frame_decoder import FrameDecoder, context_frames, positional_noise
from vtune_orpheus.layout import Layout

# The published 24 kHz configuration.
PUBLISHED = {
    "sampling_rate": 24000, "encoder_dim": 48, "encoder_rates": [2, 4, 8, 8], "decoder_dim": 1024,
    "decoder_rates": [8, 8, 4, 2], "attn_window_size": None, "codebook_size": 4096, "codebook_dim": 8,
    "vq_strides": [4, 2, 1], "noise": True, "depthwise": True,
}  # fmt: skip


def random_frames(layout: Layout, count: int, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, layout.codebook, (count, 7), generator=generator)
    return (codes + torch.arange(7) * layout.codebook + layout.audio).tolist()


def streamed(codec: Any, layout: Layout, frames: list[list[int]], seed: int) -> np.ndarray:
    decoder = FrameDecoder(codec, layout, seed)
    pieces = [piece for frame in frames if (piece := decoder.push(frame)) is not None]
    return np.concatenate([*pieces, decoder.flush()])


def whole(codec: Any, layout: Layout, frames: list[list[int]], seed: int) -> np.ndarray:
    """Decode everything at once with SNAC itself."""
    for block in positional_noise(codec):
        block.seed, block.first, block.frames = seed, 0, len(frames)
    with torch.no_grad():
        return codec.decode(layout.deinterleave(torch.tensor(frames).reshape(-1)))[0, 0].numpy()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 20])
def test_a_stream_is_the_whole_decode_sample_by_sample(base: OrpheusBase, count: int) -> None:
    frames = random_frames(base.layout, count)
    full = whole(base.codec, base.layout, frames, seed=3)
    stream = streamed(base.codec, base.layout, frames, seed=3)
    assert len(stream) == count * 2048 == len(full)
    np.testing.assert_allclose(stream, full, atol=2e-6)


def test_the_published_codec_streams_without_losing_a_frame() -> None:
    torch.manual_seed(0)
    codec = SNAC(**PUBLISHED).eval()
    layout = Layout(*range(9), 10, 4096)
    frames = random_frames(layout, 9)
    np.testing.assert_allclose(streamed(codec, layout, frames, 0), whole(codec, layout, frames, 0), atol=5e-6)


def test_the_context_is_as_wide_as_a_changed_frame_is_heard(base: OrpheusBase) -> None:
    frames, changed_frame = random_frames(base.layout, 15), 7
    changed = [list(frame) for frame in frames]
    for slot in range(7):
        start, _ = base.layout.slot_range(slot)
        changed[changed_frame][slot] = start + (changed[changed_frame][slot] - start + 1) % base.layout.codebook
    before, after = (whole(base.codec, base.layout, f, 0).reshape(15, 2048) for f in (frames, changed))
    differing = np.flatnonzero(np.abs(before - after).max(axis=1) > 0)
    reach = max(changed_frame - differing.min(), differing.max() - changed_frame)
    assert reach == context_frames(base.codec)


def test_the_first_sound_comes_before_the_end(base: OrpheusBase) -> None:
    decoder = FrameDecoder(base.codec, base.layout, 0)
    arrivals = [decoder.push(frame) is not None for frame in random_frames(base.layout, 12)]
    assert arrivals.index(True) == context_frames(base.codec)
    assert sum(arrivals) > 1


def test_noise_belongs_to_the_seed(base: OrpheusBase) -> None:
    frames = random_frames(base.layout, 4)
    first, again, other = (streamed(base.codec, base.layout, frames, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_noise_is_standard_normal_and_the_formula_is_snacs(base: OrpheusBase) -> None:
    block = positional_noise(base.codec)[0]
    block.seed, block.first, block.frames = 0, 0, 50
    width = block.linear.weight.shape[0]
    x = torch.randn(1, width, 50 * 400, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        noise = (block(x) - x) / block.linear(x)
    drawn = noise[0, 0]
    torch.testing.assert_close(noise[0, 1], drawn, atol=1e-2, rtol=1e-2)  # one channel of noise for all
    assert abs(float(drawn.median())) < 0.05
    assert abs(float(drawn.quantile(0.8413)) - 1) < 0.05
