"""Clips to training rows, rows to batches: which clip prompts which, and whose emotion it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from vtune import Batch, Clip, Features, SkipClip
from vtune_indextts2.gpt.layout import Row, lay_out
from vtune_indextts2.gpt.loss import IGNORED
from vtune_indextts2.listening import hear

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base

MULTIPLE = 8
"""Rows are padded to a multiple of this, which matrix units like."""

SHORTEST = 0.1
"""Seconds that a clip has at least: the conditioning encoders read three frames, which are 0.065 s, or more."""


def prepare(base: IndexTTS2Base, clip: Clip) -> Features:
    """Encode one clip: ``text_ids`` int32 ``[T]``, ``codes`` int32 ``[N]`` at 50 Hz, ``condition`` float16 ``[32, D]``,
    ``emotion`` float16 ``[D]``; 84 kB for a clip of any length, for the latents are what is long.

    :raises SkipClip: there is no sound or no text, or more of either than the GPT has places for, or hardly any sound.
    """
    settings = base.config.gpt
    if not clip.waveform.any():
        raise SkipClip(f"{clip.seconds:.2f} s of digital silence")
    if clip.seconds < SHORTEST:
        raise SkipClip(f"{clip.seconds:.3f} s, less than the {SHORTEST:g} s that can be listened to")
    text = base.frontend.tokenize(clip.text)
    if not text:
        raise SkipClip(f"the text has nothing to say: {clip.text!r}")
    if len(text) > settings.max_text_tokens:
        raise SkipClip(f"{len(text)} text tokens, more than the base's max_text_tokens {settings.max_text_tokens}")
    longest = settings.max_mel_tokens / base.semantic_rate
    if clip.seconds > longest:
        raise SkipClip(f"{clip.seconds:.1f} s, more than the {longest:.1f} s of the base's max_mel_tokens")
    heard = hear(base, clip.waveform, clip.sample_rate)
    return {
        "text_ids": np.asarray(text, dtype=np.int32),
        "codes": heard.codes[0].cpu().numpy().astype(np.int32),
        "condition": heard.condition[0].cpu().numpy().astype(np.float16),
        "emotion": heard.emotion[0].cpu().numpy().astype(np.float16),
    }


def collate(base: IndexTTS2Base, features: Sequence[Features]) -> Batch:
    """Pad rows on the right; see ``SemanticGPT.forward`` for what a batch holds.

    A row that stands alone, without a clip paired to it, prompts itself.
    """
    options = base.options
    rows = []
    for own in features:
        other = {name: own.get(f"paired.{name}", own[name]) for name in ("condition", "emotion")}
        lot = float(own.get("paired.lot", 1.0))
        of_prompt = options.emo_source == "prompt" or (options.emo_source == "mix" and lot < options.emo_mix)
        condition = (other if options.prompt == "other" else own)["condition"]
        emotion = (other if of_prompt else own)["emotion"]
        conditioning = condition.astype(np.float32) + emotion.astype(np.float32)
        row = lay_out(base.config.gpt, own["text_ids"].tolist(), own["codes"].tolist())
        rows.append((torch.from_numpy(conditioning), row))
    return batch_rows(rows)


def batch_rows(rows: Sequence[tuple[torch.Tensor, Row]]) -> Batch:
    """Stack conditioning ``[32, D]`` and rows of unequal length to ``[B, ...]``, the length a multiple of 8."""
    longest = max(len(row.ids) for _, row in rows)
    shape = (len(rows), -(-longest // MULTIPLE) * MULTIPLE)
    batch = {
        "input_ids": torch.zeros(shape, dtype=torch.long),
        "kinds": torch.zeros(shape, dtype=torch.long),
        "places": torch.zeros(shape, dtype=torch.long),
        "attention_mask": torch.zeros(shape, dtype=torch.long),
        "text_labels": torch.full(shape, IGNORED),
        "labels": torch.full(shape, IGNORED),
    }
    for number, (_, row) in enumerate(rows):
        length = len(row.ids)
        batch["attention_mask"][number, :length] = 1
        for name, values in (
            ("input_ids", row.ids), ("kinds", row.kinds), ("places", row.places),
            ("text_labels", row.text_labels), ("labels", row.labels),
        ):  # fmt: skip
            batch[name][number, :length] = torch.from_numpy(values)
    return {"conditioning": torch.stack([conditioning for conditioning, _ in rows]), **batch}
