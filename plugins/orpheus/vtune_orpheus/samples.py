"""Clips to training rows, rows to batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from vtune import Batch, Clip, Features, SkipClip
from vtune_orpheus.prompts import end_ids, prompt_ids, spoken

if TYPE_CHECKING:
    from vtune_orpheus.base import OrpheusBase

MULTIPLE = 8
"""Rows are padded to a multiple of this, which matrix units like."""


def prepare(base: OrpheusBase, clip: Clip) -> Features:
    """Encode one clip: ``input_ids`` and ``labels``, int64 ``[P + 7 T + 2]``.

    :raises SkipClip: there is no sound, or the row is longer than ``max_tokens``.
    """
    options = base.options
    if not clip.waveform.any():
        raise SkipClip(f"{clip.seconds:.2f} s of digital silence")
    prompt = prompt_ids(base.tokenizer, base.layout, spoken(clip.text, clip.voice, options.voice_prefix))
    sound = base.layout.interleave(base.encode(clip.waveform))
    if options.remove_duplicate_frames:
        sound = base.layout.drop_repeats(sound)
    ids = np.asarray([*prompt, *sound.tolist(), *end_ids(base.layout)], dtype=np.int64)
    if len(ids) > options.max_tokens:
        raise SkipClip(
            f"{len(ids)} tokens ({clip.seconds:.1f} s of sound, {len(prompt)} of prompt), "
            f"more than max_tokens {options.max_tokens}"
        )
    labels = ids.copy()
    if options.loss_on == "audio":
        labels[: len(prompt)] = -100
    return {"input_ids": ids, "labels": labels}


def collate(base: OrpheusBase, features: Sequence[Features]) -> Batch:
    """Pad rows; what is learned among sound alone has no place for the token behind the end of speech."""
    batch = pad(features, base.layout.pad)
    if base.options.loss_among == "sound":
        batch["labels"][batch["labels"] == base.layout.end_of_ai] = -100
    return batch


def pad(features: Sequence[Features], pad_id: int) -> Batch:
    """Pad rows on the right: ``input_ids``, ``attention_mask``, ``labels``, int64 ``[B, L]``, L a multiple of 8."""
    longest = max(len(row["input_ids"]) for row in features)
    length = -(-longest // MULTIPLE) * MULTIPLE
    batch = {
        "input_ids": torch.full((len(features), length), pad_id),
        "attention_mask": torch.zeros((len(features), length), dtype=torch.long),
        "labels": torch.full((len(features), length), -100),
    }
    for place, row in enumerate(features):
        count = len(row["input_ids"])
        batch["input_ids"][place, :count] = torch.as_tensor(row["input_ids"])
        batch["attention_mask"][place, :count] = 1
        batch["labels"][place, :count] = torch.as_tensor(row["labels"])
    return batch
