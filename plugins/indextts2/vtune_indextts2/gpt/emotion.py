"""Emotion vectors mixed: of two recordings, or from a list of eight weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from vtune import EngineError

NAMES = ("happy", "angry", "sad", "afraid", "disgusted", "melancholic", "surprised", "calm")
"""What the eight weights stand for, in the checkpoint's order."""

BIAS = (0.9375, 0.875, 1.0, 1.0, 0.9375, 0.9375, 0.6875, 0.5625)
"""Upstream's damping of emotions that overpower the speaker."""

LIMIT = 0.8
"""Of the sum of the weights: a fifth of the speaker's own emotion always stays."""


def merge(base: torch.Tensor, emotion: torch.Tensor, strength: float) -> torch.Tensor:
    """Go from one emotion vector ``[1, D]`` towards another: 0 stays, 1 arrives."""
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
        """Check the sizes. :raises EngineError: they do not belong together."""
        if len(self.groups) != len(NAMES):
            raise EngineError(f"emo_num has {len(self.groups)} groups, the emotions are {len(NAMES)}")
        rows = (len(self.emotions), len(self.speakers), sum(self.groups))
        if len(set(rows)) != 1:
            raise EngineError(
                f"the emotion tables do not fit: {rows[0]} emotions, {rows[1]} speakers, {rows[2]} rows by emo_num"
            )

    def to(self, device: torch.device) -> EmotionTable:
        """Move it."""
        return EmotionTable(self.emotions.to(device), self.speakers.to(device), self.groups)

    def nearest(self, style: torch.Tensor) -> torch.Tensor:
        """For each emotion, the row within its group whose speaker is most like ``style`` ``[1, S]``; int64 ``[G]``."""
        alike = F.cosine_similarity(self.speakers, style, dim=-1)
        return torch.stack([group.argmax() for group in torch.split(alike, list(self.groups))])

    def mix(self, weights: torch.Tensor, base: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """Emotion vector ``[1, D]``: each emotion's nearest row by its weight, and what is left of 1 from ``base``."""
        groups = torch.split(self.emotions, list(self.groups))
        rows = [group[row] for group, row in zip(groups, self.nearest(style), strict=True)]
        mixed = weights @ torch.stack(rows)
        return mixed[None] + (1 - weights.sum()) * base


def damped(weights: Sequence[float], bias: Sequence[float] | None = BIAS) -> torch.Tensor:
    """Weights as they are used, float32 ``[8]``: times ``bias``, then scaled to a sum of ``LIMIT`` where it is more."""
    scaled = torch.tensor(weights, dtype=torch.float32)
    if bias is not None:
        scaled = scaled * torch.tensor(bias)
    total = float(scaled.sum())
    return scaled * (LIMIT / total) if total > LIMIT else scaled
