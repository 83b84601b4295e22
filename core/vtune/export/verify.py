"""Compare the logits of files that were read back with those of the voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vtune.errors import VoiceError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vtune.export.source import ExportSource
    from vtune.types import Batch

TOLERANCES = {"fp32": 1e-3, "fp16": 1e-2, "bf16": 5e-2}
"""Largest allowed difference of the logits, as a share of the largest logit, by the format of the weights."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The comparison for one prompt.

    :param rows: positions that were compared.
    :param difference: the largest difference of the logits, as a share of the largest logit.
    :param likeliest: share of positions where the likeliest token is the same; None for models without logits.
    """

    text: str
    rows: int
    difference: float
    likeliest: float | None


@dataclass(frozen=True, slots=True)
class AnswerComparison:
    """The comparison of a voice with its exported files.

    :param how: how the files were read back, a clause for users.
    """

    how: str
    prompts: Sequence[Prompt]
    tolerance: float

    @property
    def difference(self) -> float:
        """The largest difference of all prompts."""
        return max(prompt.difference for prompt in self.prompts)

    @property
    def likeliest(self) -> float | None:
        """The share over all positions of all prompts."""
        counted = [(prompt.likeliest, prompt.rows) for prompt in self.prompts if prompt.likeliest is not None]
        rows = sum(rows for _, rows in counted)
        return sum(share * count for share, count in counted) / rows if rows else None

    def describe(self) -> str:
        """Return the result as one line."""
        same = (
            f", the likeliest token is the same at {self.likeliest:.1%} of positions"
            if self.likeliest is not None
            else ""
        )
        return (
            f"{self.how}: answers within {self.difference:.1e} of the voice's on {len(self.prompts)} of its sentences "
            f"(allowed {self.tolerance:.0e}){same}"
        )

    def settings(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {**asdict(self), "difference": self.difference, "likeliest": self.likeliest}


def compare(source: ExportSource, model: nn.Module, how: str, tolerance: float) -> AnswerComparison:
    """Compare the logits of a model that was read back with those of the voice.

    :raises VoiceError: the logits differ by more than the tolerance.
    """
    from vtune.training import guards

    prompts = [
        _prompt(
            clip.text, before, guards.probe_logits(model, batch), _labels(batch, guards.probe_positions(model, batch))
        )
        for clip, before, batch in zip(source.clips, source.answers, source.batches, strict=True)
    ]
    comparison = AnswerComparison(how, prompts, tolerance)
    if not all(prompt.difference <= tolerance for prompt in prompts):  # NaN is not within it
        worst = next(prompt for prompt in prompts if not prompt.difference <= tolerance)
        raise VoiceError(
            f"{how}, what was written answers differently from the voice: by {worst.difference:.2e} of the largest "
            f"logit on {worst.text!r} (allowed {tolerance:.0e}); nothing was kept. A wider --dtype is more exact"
        )
    return comparison


def _labels(batch: Batch, places: torch.Tensor | None) -> torch.Tensor | None:
    labels = batch.get("labels")
    return labels if labels is None or places is None else labels[:, places]


def _prompt(text: str, before: torch.Tensor, after: torch.Tensor, labels: torch.Tensor | None) -> Prompt:
    if before.shape != after.shape:
        return Prompt(text, 0, float("inf"), None)
    difference = float((after - before).abs().max() / before.abs().max().clamp(min=1e-9))
    if before.dim() < 2:
        return Prompt(text, 1, difference, None)
    same = before.argmax(-1) == after.argmax(-1)
    if labels is not None and labels.shape == same.shape:
        same = same[labels != -100]  # padding does not count
    return Prompt(text, same.numel(), difference, float(same.float().mean()) if same.numel() else None)
