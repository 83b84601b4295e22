"""Frames of tokens to sound, streamed without losing or bending a sample.

SNAC's decoder looks a fixed number of frames to either side. A window with that much context on both sides gives in
its middle what a decode of the whole utterance gives there, so each frame is emitted once its right context is known,
and the end is decoded with nothing behind it, as the whole would be. Its noise is drawn by position, not by call.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from vtune import Waveform
from vtune_orpheus.layout import SLOTS, Layout

STRIDE = 4
"""Frames decoded together once the first is out: a third of a second of sound."""


class PositionalNoise(nn.Module):
    """SNAC's noise block with noise that belongs to a place in the utterance: frame ``f`` always gets the same.

    The block computes ``x + noise * linear(x)`` with one channel of noise; see ``snac.layers.NoiseBlock``.
    """

    def __init__(self, linear: nn.Module, place: int) -> None:
        super().__init__()
        self.linear = linear
        self._place = place
        self.seed = 0
        self.first = 0
        self.frames = 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, C, T]`` to the same shape."""
        length = x.shape[-1] // self.frames
        noise = torch.cat([self._draw(self.first + frame, length) for frame in range(self.frames)])
        mixed: torch.Tensor = x + noise.to(x)[None, None] * self.linear(x)
        return mixed

    def _draw(self, frame: int, length: int) -> torch.Tensor:
        seed = np.random.SeedSequence([self.seed, self._place, frame]).generate_state(1, np.uint64)[0]
        return torch.randn(length, generator=torch.Generator().manual_seed(int(seed) >> 1))


class FrameDecoder:
    """Decodes one utterance, frame by frame; make a new one for the next.

    :param codec: SNAC; its noise blocks are replaced once and keep giving independent noise to direct callers.
    :param first: give the first frame once so many are known, at the price of its being exact; None waits until it is.
    """

    def __init__(self, codec: Any, layout: Layout, seed: int, first: int | None = None) -> None:
        self._codec = codec
        self._layout = layout
        self._noise = positional_noise(codec)
        self._seed = seed
        self._frame = int(codec.hop_length) * codec.vq_strides[0]
        self._context = context_frames(codec)
        self._first = min(self._context, first - 1) if first else self._context
        self._tokens: list[int] = []
        self._emitted = 0

    def add(self, frame: list[int]) -> None:
        """Take 7 token ids."""
        self._tokens += frame

    def push(self, frame: list[int]) -> Waveform | None:
        """Take 7 token ids; return the sound that is now certain, ``float32 [2048 n]``, or None to wait for more."""
        self.add(frame)
        certain = len(self._tokens) // SLOTS - (self._context if self._emitted else self._first)
        # The first frame goes out at once; later ones together, for each window pays for its context again.
        if certain < (self._emitted + STRIDE if self._emitted else 1):
            return None
        return self._emit(certain)

    def flush(self) -> Waveform:
        """Return the sound of all frames that are left, ``float32 [2048 * n]``."""
        return self._emit(len(self._tokens) // SLOTS)

    def _emit(self, until: int) -> Waveform:
        known = len(self._tokens) // SLOTS
        if until <= self._emitted:
            return np.zeros(0, dtype=np.float32)
        first = max(0, self._emitted - self._context)
        last = min(known, until + self._context)
        sound = self._decode(first, last)
        start, end = (self._emitted - first) * self._frame, (until - first) * self._frame
        self._emitted = until
        return sound[start:end]

    @torch.no_grad()
    def _decode(self, first: int, last: int) -> Waveform:
        tokens = torch.tensor(self._tokens[first * SLOTS : last * SLOTS])
        device = next(self._codec.parameters()).device
        codes = [level.to(device) for level in self._layout.deinterleave(tokens)]
        for block in self._noise:
            block.seed, block.first, block.frames = self._seed, first, last - first
        sound: Waveform = self._codec.decode(codes)[0, 0].float().cpu().numpy()
        return sound


def positional_noise(codec: Any) -> list[PositionalNoise]:
    """Put positional noise in the place of SNAC's own, once, and return the blocks."""
    from snac.layers import NoiseBlock

    for module in list(codec.decoder.modules()):
        for name, child in module.named_children():
            if isinstance(child, NoiseBlock):
                place = sum(isinstance(m, PositionalNoise) for m in codec.decoder.modules())
                setattr(module, name, PositionalNoise(child.linear, place))
    return [module for module in codec.decoder.modules() if isinstance(module, PositionalNoise)]


def context_frames(codec: Any) -> int:
    """How many frames to either side a sample of the decoder depends on, from the shapes of its convolutions.

    Walks from the output inwards: a convolution of kernel ``k`` and dilation ``d`` reaches ``d (k - 1) / 2`` samples
    to each side at its rate; a transposed one of stride ``s`` maps a reach ``r`` to ``ceil((r + k) / s)`` at the rate
    below. Codes repeat over up to ``vq_strides[0]`` latents, a frame's worth, which rounding up to frames covers.
    """
    reach = 0
    for module in reversed(list(codec.decoder.modules())):
        if isinstance(module, nn.ConvTranspose1d):
            reach = math.ceil((reach + module.kernel_size[0]) / module.stride[0])
        elif isinstance(module, nn.Conv1d):
            reach += module.dilation[0] * (module.kernel_size[0] - 1) // 2
    return math.ceil(reach / int(codec.vq_strides[0]))
