"""Turn clips into training rows, and rows into batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from vtune import Batch, Clip, Features, SkipClip
from vtune_orpheus.prompts import end_ids, prompt_ids, prompt_text

if TYPE_CHECKING:
    from vtune_orpheus.base import OrpheusBase

PAD_MULTIPLE = 8
"""Rows are padded to a multiple of this length, because matrix units work in blocks."""


def prepare(base: OrpheusBase, clip: Clip) -> Features:
    """Encode one clip to ``input_ids`` and ``labels``, int64 ``[P + 7*T + 2]`` for P prompt tokens and T frames.

    With ``loss_on: audio`` the labels of the prompt are -100::

        input_ids   start_of_human begin_of_text ...  start_of_speech  128266 132362 ...  end_of_speech end_of_ai
        labels      -100           -100          ...  -100             128266 132362 ...  end_of_speech end_of_ai

    :raises SkipClip: the clip has no sound, or the row is longer than ``max_tokens``.
    """
    options = base.options
    if not clip.waveform.any():
        raise SkipClip(f"{clip.seconds:.2f} s of digital silence")
    prompt = prompt_ids(base.tokenizer, base.layout, prompt_text(clip.text, clip.voice, options.voice_prefix))
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
    """Pad rows to a batch. With ``loss_among: sound``, the token after the end of speech is not learned."""
    batch = pad(features, base.layout.pad)
    if base.options.loss_among == "sound":
        batch["labels"][batch["labels"] == base.layout.end_of_ai] = -100
    return batch


def pad(features: Sequence[Features], pad_id: int) -> Batch:
    """Pad rows on the right to ``input_ids``, ``attention_mask`` and ``labels``, int64 ``[B x L]``, L a multiple of 8.

    Rows of 2 and 3 tokens with the pad token 9::

        input_ids       [[5, 6, 9, 9, 9, 9, 9, 9],                  [5, 6, 7, 9, 9, 9, 9, 9]]
        attention_mask  [[1, 1, 0, 0, 0, 0, 0, 0],                  [1, 1, 1, 0, 0, 0, 0, 0]]
        labels          [[5, 6, -100, -100, -100, -100, -100, -100], [5, 6, 7, -100, -100, -100, -100, -100]]
    """
    longest = max(len(row["input_ids"]) for row in features)
    length = -(-longest // PAD_MULTIPLE) * PAD_MULTIPLE
    batch = {
        "input_ids": torch.full((len(features), length), pad_id),
        "attention_mask": torch.zeros((len(features), length), dtype=torch.long),
        "labels": torch.full((len(features), length), -100),
    }
    for index, row in enumerate(features):
        count = len(row["input_ids"])
        batch["input_ids"][index, :count] = torch.as_tensor(row["input_ids"])
        batch["attention_mask"][index, :count] = 1
        batch["labels"][index, :count] = torch.as_tensor(row["labels"])
    return batch
