"""What was written, read back and asked the same as the voice: how far apart are the answers?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vtune.errors import VoiceError
from vtune.export.source import Source
from vtune.types import Batch

if TYPE_CHECKING:
    import torch
    from torch import nn

TOLERANCES = {"fp32": 1e-3, "fp16": 1e-2, "bf16": 5e-2}
"""Of the largest difference of the logits, as a share of the largest logit, by the format of the weights."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt that was put to both.

    :param rows: logits that were compared.
    :param difference: the largest of the logits, as a share of the largest logit.
    :param likeliest: share of places where the likeliest token is the same; None for models that give no logits.
    """

    text: str
    rows: int
    difference: float
    likeliest: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The voice and what was read back.

    :param how: what was written was read back.
    """

    how: str
    prompts: Sequence[Prompt]
    tolerance: float

    @property
    def difference(self) -> float:
        """The largest of all prompts."""
        return max(prompt.difference for prompt in self.prompts)

    @property
    def likeliest(self) -> float | None:
        """The share over all places of all prompts."""
        counted = [(prompt.likeliest, prompt.rows) for prompt in self.prompts if prompt.likeliest is not None]
        rows = sum(rows for _, rows in counted)
        return sum(share * count for share, count in counted) / rows if rows else None

    def describe(self) -> str:
        """Say it in one line."""
        same = f", the likeliest token the same at {self.likeliest:.1%} of places" if self.likeliest is not None else ""
        return (
            f"{self.how}: answers within {self.difference:.1e} of the voice's on {len(self.prompts)} of its sentences "
            f"(allowed {self.tolerance:.0e}){same}"
        )

    def settings(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "difference": self.difference, "likeliest": self.likeliest}


def compare(source: Source, model: nn.Module, how: str, tolerance: float) -> Comparison:
    """Ask a model that was read back what the voice was asked.

    :raises VoiceError: it answers differently.
    """
    from vtune.training import guards

    prompts = [
        _prompt(
            clip.text, before, guards.probe_logits(model, batch), _labels(batch, guards.probe_positions(model, batch))
        )
        for clip, before, batch in zip(source.clips, source.answers, source.batches, strict=True)
    ]
    found = Comparison(how, prompts, tolerance)
    if not all(prompt.difference <= tolerance for prompt in prompts):  # what is no number is not within it
        worst = next(prompt for prompt in prompts if not prompt.difference <= tolerance)
        raise VoiceError(
            f"{how}, what was written answers differently from the voice: by {worst.difference:.2e} of the largest "
            f"logit on {worst.text!r} (allowed {tolerance:.0e}); nothing was kept. A wider --dtype keeps more of it"
        )
    return found


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
        same = same[labels != -100]  # padding says nothing
    return Prompt(text, same.numel(), difference, float(same.float().mean()) if same.numel() else None)
