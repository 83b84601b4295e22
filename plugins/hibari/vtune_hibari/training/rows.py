"""Training data: a clip becomes samples, ids and durations; rows become a padded batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from vtune import Batch, Clip, Features, SkipClip
from vtune.toolkit.sentences import joined_symbols, read_sentences
from vtune_hibari.network.settings import HOP_SAMPLES, STEP_FRAMES
from vtune_hibari.text.symbols import encode_symbols

if TYPE_CHECKING:
    from vtune_hibari.base import HibariBase

STEP_SAMPLES = HOP_SAMPLES * STEP_FRAMES
SAMPLE_SCALE = 32767


def prepare(base: HibariBase, clip: Clip) -> Features:
    """Encode one clip to samples int16 ``[N]``, ids int32 ``[L]`` and durations int32 ``[L]`` in steps of 25 ms.

    :raises SkipClip: the clip is too long, has fewer steps than symbols, or a symbol has no number.
    """
    if clip.seconds > base.options.max_seconds:
        raise SkipClip(f"{clip.seconds:.1f} s, more than max_seconds {base.options.max_seconds:g}")
    ids = np.array(encode_symbols(joined_symbols(read_sentences(clip.text))), np.int32)
    steps = -(-len(clip.waveform) // STEP_SAMPLES)
    if steps < len(ids):
        raise SkipClip(f"{len(ids)} symbols in {steps} steps of sound: each symbol needs a step")
    samples = np.pad(clip.waveform, (0, steps * STEP_SAMPLES - len(clip.waveform)))
    ends = np.rint(np.linspace(0, steps, len(ids) + 1))
    return {
        "samples": np.rint(samples.clip(-1, 1) * SAMPLE_SCALE).astype(np.int16),
        "input_ids": ids,
        "durations": np.diff(ends).astype(np.int32),
    }


def collate(features: Sequence[Features]) -> Batch:
    """Pad rows on the right; ``items`` are the steps of each clip, int64 ``[B]``."""
    names = ("input_ids", "durations")
    batch = {
        name: pad_sequence([torch.as_tensor(row[name], dtype=torch.long) for row in features], batch_first=True)
        for name in names
    }
    samples = [torch.as_tensor(row["samples"].astype(np.float32) / SAMPLE_SCALE) for row in features]
    return {
        **batch,
        "text_lengths": torch.tensor([len(row["input_ids"]) for row in features]),
        "samples": pad_sequence(samples, batch_first=True),
        "items": torch.tensor([int(row["durations"].sum()) for row in features]),
        "lots": torch.tensor([float(row["lot"]) for row in features], dtype=torch.float64),
    }
