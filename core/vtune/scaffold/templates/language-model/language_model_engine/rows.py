"""Training data: a clip becomes a row of tokens, and rows become a padded batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import vtune
from torch.nn.utils.rnn import pad_sequence

from language_model_engine.codec import encode
from language_model_engine.tokens import END_OF_SOUND, PADDING, prompt_tokens, sound_tokens


def prepare(clip: vtune.Clip, max_tokens: int) -> vtune.Features:
    """Encode one clip to token ids ``[N]`` and labels ``[N]``; only sound has labels, so the text is not learned."""
    prompt = prompt_tokens(clip.text)
    sound = [*sound_tokens(encode(clip.waveform)), END_OF_SOUND]
    if len(prompt) + len(sound) > max_tokens:
        raise vtune.SkipClip(f"{len(prompt) + len(sound)} tokens, more than max_tokens {max_tokens}")
    return {"input_ids": np.array([*prompt, *sound]), "labels": np.array([*[-100] * len(prompt), *sound])}


def collate(features: Sequence[vtune.Features]) -> vtune.Batch:
    """Pad rows on the right to tensors ``[B x N]``."""

    def padded(name: str, value: int) -> torch.Tensor:
        rows = [torch.as_tensor(row[name]) for row in features]
        return pad_sequence(rows, batch_first=True, padding_value=value)

    input_ids, labels = padded("input_ids", PADDING), padded("labels", -100)
    return {"input_ids": input_ids, "attention_mask": input_ids.ne(PADDING).long(), "labels": labels}
