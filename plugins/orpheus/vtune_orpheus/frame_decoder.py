"""Decode frames of tokens to sound as a stream that equals a decode of the whole utterance, sample for sample.

SNAC's decoder depends on a fixed number of frames on either side. A window with that much context on both sides gives
in its middle what a decode of the whole utterance gives there. So each frame is sent as soon as its right context is
known, and the last frames are decoded without right context, as in the whole utterance. The decoder's noise depends on
the position in the utterance, not on the call.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from vtune import Waveform
from vtune_orpheus.layout import SLOTS, Layout

STREAM_FRAMES = 4
"""Frames that are decoded together after the first one was sent: a third of a second of sound."""


class PositionalNoise(nn.Module):
    """SNAC's noise block with noise that depends on the position: frame ``f`` always gets the same noise.

    The block computes ``x + noise * linear(x)`` with one channel of noise; see ``snac.layers.NoiseBlock``.

    :param block_number: the number of the block in the decoder, so that blocks get different noise.
    """

    def __init__(self, linear: nn.Module, block_number: int) -> None:
        super().__init__()
        self.linear = linear
        self._block_number = block_number
        self.seed = 0
        self.first = 0
        self.frames = 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add noise to ``[B x C x T]``."""
        length = x.shape[-1] // self.frames
        noise = torch.cat([self._noise(self.first + frame, length) for frame in range(self.frames)])  # [T]
        mixed: torch.Tensor = x + noise.to(x)[None, None] * self.linear(x)
        return mixed

    def _noise(self, frame: int, length: int) -> torch.Tensor:
        seed = np.random.SeedSequence([self.seed, self._block_number, frame]).generate_state(1, np.uint64)[0]
        return torch.randn(length, generator=torch.Generator().manual_seed(int(seed) >> 1))


class FrameDecoder:
    """Decodes one utterance, frame by frame; every utterance needs a new decoder.

    :param codec: SNAC; its noise blocks are replaced once, and direct callers still get independent noise.
    :param first_frames: send the first frame when this many frames are known, although it is not exact yet; None waits
        until it is exact.
    """

    def __init__(self, codec: Any, layout: Layout, seed: int, first_frames: int | None = None) -> None:
        self._codec = codec
        self._layout = layout
        self._noise = positional_noise(codec)
        self._seed = seed
        self._frame_samples = int(codec.hop_length) * codec.vq_strides[0]
        self._context = context_frames(codec)
        self._first_context = min(self._context, first_frames - 1) if first_frames else self._context
        self._tokens: list[int] = []
        self._sent_frames = 0

    def add(self, frame: list[int]) -> None:
        """Add the 7 token ids of one frame."""
        self._tokens += frame

    def push(self, frame: list[int]) -> Waveform | None:
        """Take 7 token ids; return the sound that is final now, float32 ``[2048*n]``, or None if there is none yet."""
        self.add(frame)
        final = len(self._tokens) // SLOTS - (self._context if self._sent_frames else self._first_context)
        # The first frame is sent at once. Later frames are sent together, because each window decodes its context
        # again.
        if final < (self._sent_frames + STREAM_FRAMES if self._sent_frames else 1):
            return None
        return self._decode_until(final)

    def flush(self) -> Waveform:
        """Return the sound of all remaining frames, float32 ``[2048*n]``."""
        return self._decode_until(len(self._tokens) // SLOTS)

    def _decode_until(self, end_frame: int) -> Waveform:
        frame_count = len(self._tokens) // SLOTS
        if end_frame <= self._sent_frames:
            return np.zeros(0, dtype=np.float32)
        first = max(0, self._sent_frames - self._context)
        last = min(frame_count, end_frame + self._context)
        sound = self._decode(first, last)
        start, end = (self._sent_frames - first) * self._frame_samples, (end_frame - first) * self._frame_samples
        self._sent_frames = end_frame
        return sound[start:end]

    @torch.no_grad()
    def _decode(self, first: int, last: int) -> Waveform:
        """Decode frames ``first`` to ``last - 1``: float32 ``[2048 * (last - first)]``."""
        tokens = torch.tensor(self._tokens[first * SLOTS : last * SLOTS])  # [7*T]
        device = next(self._codec.parameters()).device
        codes = [level.to(device) for level in self._layout.deinterleave(tokens)]  # [1 x T], [1 x 2T], [1 x 4T]
        for block in self._noise:
            block.seed, block.first, block.frames = self._seed, first, last - first
        sound: Waveform = self._codec.decode(codes)[0, 0].float().cpu().numpy()
        return sound


def positional_noise(codec: Any) -> list[PositionalNoise]:
    """Replace SNAC's noise blocks by positional ones, once, and return the blocks."""
    from snac.layers import NoiseBlock

    for module in list(codec.decoder.modules()):
        for name, child in module.named_children():
            if isinstance(child, NoiseBlock):
                block_number = sum(isinstance(block, PositionalNoise) for block in codec.decoder.modules())
                setattr(module, name, PositionalNoise(child.linear, block_number))
    return [module for module in codec.decoder.modules() if isinstance(module, PositionalNoise)]


def context_frames(codec: Any) -> int:
    """Return how many frames on either side a sample of the decoder depends on, from the shapes of its convolutions.

    The loop goes from the output inwards: a convolution of kernel ``k`` and dilation ``d`` reaches ``d (k - 1) / 2``
    samples to each side at its rate; a transposed one of stride ``s`` maps a reach ``r`` to ``ceil((r + k) / s)`` at
    the rate below. Codes repeat over up to ``vq_strides[0]`` latents, a frame's worth, which rounding up to frames
    covers.
    """
    reach = 0
    for module in reversed(list(codec.decoder.modules())):
        if isinstance(module, nn.ConvTranspose1d):
            reach = math.ceil((reach + module.kernel_size[0]) / module.stride[0])
        elif isinstance(module, nn.Conv1d):
            reach += module.dilation[0] * (module.kernel_size[0] - 1) // 2
    return math.ceil(reach / int(codec.vq_strides[0]))
