"""Turn clips into training rows and rows into batches; choose the prompt and the emotion of each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from vtune import Batch, Clip, EngineError, Features, SkipClip
from vtune_indextts2.gpt.loss import IGNORED_LABEL
from vtune_indextts2.gpt.row_layout import TokenRow, make_row
from vtune_indextts2.recording_features import extract_features

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base

PAD_MULTIPLE = 8
"""Rows are padded to a multiple of this length, because matrix units work in blocks."""

MIN_CLIP_SECONDS = 0.1
"""The shortest clip: the conditioning encoders need three frames, which are 0.065 s."""


def prepare(base: IndexTTS2Base, clip: Clip) -> Features:
    """Encode one clip to ``text_ids``, ``codes``, ``condition``, ``emotion``, and ``language`` if there are rows of it.

    ``text_ids`` is int32 ``[T]`` and ``codes`` int32 ``[N]`` at the rate of the release. ``emotion`` is float16
    ``[D]``. ``condition`` is the speaker, float16: latents ``[32 x D]`` of IndexTTS-2, with which a clip of any length
    takes about 84 kB, or the style ``[S]`` of IndexTTS-2.5, with which it takes 3 kB. ``language`` is int32 ``[1]``.

    :raises SkipClip: the clip has no text or almost no sound, more text or sound than the GPT has positions for, or a
        text that does not fit the language.
    """
    settings = base.config.gpt
    if not clip.waveform.any():
        raise SkipClip(f"{clip.seconds:.2f} s of digital silence")
    if clip.seconds < MIN_CLIP_SECONDS:
        raise SkipClip(f"{clip.seconds:.3f} s, less than the {MIN_CLIP_SECONDS:g} s that the encoders need")
    language, text = _read(base, clip.text)
    if not text:
        raise SkipClip(f"the text has no words to speak: {clip.text!r}")
    if len(text) > settings.max_text_tokens:
        raise SkipClip(f"{len(text)} text tokens, more than the base's max_text_tokens {settings.max_text_tokens}")
    longest = settings.max_mel_tokens / base.semantic_rate
    if clip.seconds > longest:
        raise SkipClip(f"{clip.seconds:.1f} s, more than the {longest:.1f} s of the base's max_mel_tokens")
    recording = extract_features(base, clip.waveform, clip.sample_rate)
    return {
        "text_ids": np.asarray(text, dtype=np.int32),
        "codes": recording.codes[0].cpu().numpy().astype(np.int32),
        "condition": recording.condition[0].cpu().numpy().astype(np.float16),
        "emotion": recording.emotion[0].cpu().numpy().astype(np.float16),
        **({} if language is None else {"language": np.asarray([language], dtype=np.int32)}),
    }


def _read(base: IndexTTS2Base, text: str) -> tuple[int | None, list[int]]:
    """Return the row of the text's language and the ids of the text."""
    frontend, tag = base.frontend, base.options.language
    try:
        tag = frontend.resolve(text, tag)
    except EngineError as error:  # of this text, not of the engine
        raise SkipClip(str(error)) from error
    return frontend.row(tag), frontend.tokenize(text, tag)


def collate(base: IndexTTS2Base, features: Sequence[Features]) -> Batch:
    """Combine rows to a batch; see ``SemanticGPT.forward`` for its tensors.

    A row without a paired clip is its own prompt.
    """
    options = base.options
    rows = []
    for row_features in features:
        paired = {name: row_features.get(f"paired.{name}", row_features[name]) for name in ("condition", "emotion")}
        lot = float(row_features.get("lot", 1.0))
        from_prompt = options.emo_source == "prompt" or (options.emo_source == "mix" and lot < options.emo_mix)
        condition = (paired if options.prompt == "other" else row_features)["condition"]
        emotion = (paired if from_prompt else row_features)["emotion"]
        parts = (torch.from_numpy(part.astype(np.float32)) for part in (condition, emotion))
        row = make_row(base.config.gpt, row_features["text_ids"].tolist(), row_features["codes"].tolist())
        rows.append((base.release.join(*parts), row))
    batch = batch_rows(rows)
    if "language" in features[0]:
        batch["languages"] = torch.tensor([int(row_features["language"][0]) for row_features in features])
    return batch


def batch_rows(rows: Sequence[tuple[torch.Tensor, TokenRow]]) -> Batch:
    """Pad rows on the right and stack them to ``[B x L]``; the conditioning ``[...]`` of each to ``[B x ...]``.

    Rows of 5 and 7 positions become L = 8: ``attention_mask`` is ``[[1]*5 + [0]*3, [1]*7 + [0]]``.
    """
    longest = max(len(row.ids) for _, row in rows)
    shape = (len(rows), -(-longest // PAD_MULTIPLE) * PAD_MULTIPLE)
    batch = {
        "input_ids": torch.zeros(shape, dtype=torch.long),
        "kinds": torch.zeros(shape, dtype=torch.long),
        "positions": torch.zeros(shape, dtype=torch.long),
        "attention_mask": torch.zeros(shape, dtype=torch.long),
        "text_labels": torch.full(shape, IGNORED_LABEL),
        "labels": torch.full(shape, IGNORED_LABEL),
    }
    for number, (_, row) in enumerate(rows):
        length = len(row.ids)
        batch["attention_mask"][number, :length] = 1
        for name, values in (
            ("input_ids", row.ids), ("kinds", row.kinds), ("positions", row.positions),
            ("text_labels", row.text_labels), ("labels", row.labels),
        ):  # fmt: skip
            batch[name][number, :length] = torch.from_numpy(values)
    return {"conditioning": torch.stack([conditioning for conditioning, _ in rows]), **batch}
