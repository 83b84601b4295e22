"""Mix emotion vectors: of two recordings, or from a list of eight weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from vtune import EngineError

EMOTION_NAMES = ("happy", "angry", "sad", "afraid", "disgusted", "melancholic", "surprised", "calm")
"""The names of the eight weights, in the checkpoint's order."""

EMOTION_BIAS = (0.9375, 0.875, 1.0, 1.0, 0.9375, 0.9375, 0.6875, 0.5625)
"""Upstream's factors, which weaken emotions that overpower the speaker."""

MAX_EMOTION_SUM = 0.8
"""The largest sum of the weights: a fifth of the speaker's own emotion always stays."""


def interpolate_emotion(base: torch.Tensor, emotion: torch.Tensor, strength: float) -> torch.Tensor:
    """Move from one emotion vector ``[1 x D]`` towards another: 0 gives ``base``, 1 gives ``emotion``."""
    return base + strength * (emotion - base)


@dataclass(frozen=True)
class EmotionTable:
    """Emotion vectors of many speakers, in groups of one emotion each.

    :param emotions: float32 ``[R, D]``.
    :param speakers: style of each row's speaker, float32 ``[R, S]``.
    :param groups: rows of each emotion, in order; they sum to R.
    """

    emotions: torch.Tensor
    speakers: torch.Tensor
    groups: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the sizes. :raises EngineError: the sizes do not fit together."""
        if len(self.groups) != len(EMOTION_NAMES):
            raise EngineError(f"emo_num has {len(self.groups)} groups, the emotions are {len(EMOTION_NAMES)}")
        rows = (len(self.emotions), len(self.speakers), sum(self.groups))
        if len(set(rows)) != 1:
            raise EngineError(
                f"the emotion tables do not fit: {rows[0]} emotions, {rows[1]} speakers, {rows[2]} rows by emo_num"
            )

    def to(self, device: torch.device) -> EmotionTable:
        """Return the table on another device."""
        return EmotionTable(self.emotions.to(device), self.speakers.to(device), self.groups)

    def nearest(self, style: torch.Tensor) -> torch.Tensor:
        """Return the row in each emotion's group whose speaker is most similar to ``style [1 x S]``: int64 ``[G]``."""
        similarity = F.cosine_similarity(self.speakers, style, dim=-1)
        return torch.stack([group.argmax() for group in torch.split(similarity, list(self.groups))])

    def random_rows(self, seed: int) -> torch.Tensor:
        """Return a row in each emotion's group, chosen by a seed: int64 ``[G]``."""
        generator = torch.Generator().manual_seed(seed)
        return torch.stack([torch.randint(size, (), generator=generator) for size in self.groups])

    def mix(
        self, weights: torch.Tensor, base: torch.Tensor, style: torch.Tensor, rows: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Mix one row of each emotion's group by its weight, and ``base`` by the rest up to 1: ``[1 x D]``.

        :param rows: of the groups, int64 ``[G]``; default: those nearest to ``style``.
        """
        groups = torch.split(self.emotions, list(self.groups))
        chosen = self.nearest(style) if rows is None else rows
        mixed = weights @ torch.stack([group[row] for group, row in zip(groups, chosen, strict=True)])
        return mixed[None] + (1 - weights.sum()) * base


def limit_weights(weights: Sequence[float], bias: Sequence[float] | None = EMOTION_BIAS) -> torch.Tensor:
    """Multiply weights with ``bias`` and scale them to a sum of at most ``MAX_EMOTION_SUM``: float32 ``[8]``."""
    scaled = torch.tensor(weights, dtype=torch.float32)
    if bias is not None:
        scaled = scaled * torch.tensor(bias)
    total = float(scaled.sum())
    return scaled * (MAX_EMOTION_SUM / total) if total > MAX_EMOTION_SUM else scaled
