"""What the network learns to predict: the next position of its own input, and no other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from vtune.testing.rule import BrokenRule, NotApplicable, require, rule
from vtune.testing.rules.batches import item_counts, label_names
from vtune.testing.rules.losses import loss_of, num_items_in_batch_is_used, usable_model
from vtune.testing.subject import Subject
from vtune.types import Batch

LARGEST_SHIFT = 3
"""Positions between a label and the same value among the inputs that are looked for."""

MIN_POSITIONS = 12
MIN_VALUES = 4
"""Labels, and different labels, that a clip needs for a shift not to be found by chance."""

TRIED_POSITIONS = 4
"""Labels of a clip of which each is the only one of its batch once."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Labels that are the values of an input, ``shift`` positions later: ``labels[t] == inputs[t + shift]``.

    :param row: index of the leading axes, such as the codebook, of both tensors.
    """

    labels: str
    inputs: str
    row: tuple[int, ...]
    shift: int

    def row_of(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the view ``[positions]`` of this row."""
        return tensor[self.row]


@rule(
    why="A network that reads its target learns to copy, and one that skips a position learns another language: the "
    "loss falls in both cases, and the voice babbles.",
    change="Give each position the label that comes next: labels[t] = tokens[t + 1] for a forward that compares "
    "position t with labels[t], and labels = tokens for a network of transformers, whose forward shifts them itself.",
    after=(num_items_in_batch_is_used,),
)
def labels_are_what_comes_next(subject: Subject) -> None:
    """Labels that are values of an input are predicted from what is before them, to the very last position."""
    model = usable_model(subject)
    checked = 0
    for index, row in enumerate(subject.rows):
        batch = subject.collate([row])
        for alignment in _alignments(batch):
            checked += _check_alignment(model, batch, alignment, f"clip {index + 1}")
        if checked:
            return
    raise NotApplicable("no labels of a batch are the values of one of its other tensors")


def _alignments(batch: Batch) -> Iterator[Alignment]:
    """Find the inputs whose values the labels are; a shift counts only if it is the only one."""
    for name in label_names(batch):
        labels = batch[name]
        candidates = {
            other: tensor
            for other, tensor in batch.items()
            if other != name and tensor.shape == labels.shape and not tensor.is_floating_point()
        }
        for row in _rows(labels):
            for other, tensor in candidates.items():
                shifts = [
                    shift
                    for shift in range(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
                    if _is_shift(labels[row], tensor[row], shift)
                ]
                if len(shifts) == 1:
                    yield Alignment(name, other, row, shifts[0])


def _rows(labels: torch.Tensor) -> list[tuple[int, ...]]:
    """Return the indices of all axes but the last: ``[1, 7, T]`` gives ``(0, 0)`` to ``(0, 6)``."""
    rows: list[tuple[int, ...]] = [()]
    for size in labels.shape[:-1]:
        rows = [(*row, index) for row in rows for index in range(min(size, 8))]
    return rows if labels.ndim > 1 else []


def _is_shift(labels: torch.Tensor, inputs: torch.Tensor, shift: int) -> bool:
    positions = [t for t in _targets(labels) if 0 <= t + shift < len(inputs)]
    if len(positions) < MIN_POSITIONS:
        return False
    values = labels[positions]
    return len(set(values.tolist())) >= MIN_VALUES and torch.equal(values, inputs[[t + shift for t in positions]])


def _targets(labels: torch.Tensor) -> list[int]:
    return [int(position) for position in labels.ne(-100).nonzero().flatten()]


def _check_alignment(model: nn.Module, batch: Batch, alignment: Alignment, clip: str) -> int:
    """Check what some labels are predicted from. :returns: how many could be checked.

    :raises BrokenRule: all of them are predicted from their own value, or without the value right before it.
    """
    labels = alignment.row_of(batch[alignment.labels])
    margin = 2 * LARGEST_SHIFT
    middle = [t for t in _targets(labels) if margin <= t < len(labels) - margin]
    positions = middle[:: max(1, len(middle) // TRIED_POSITIONS)][:TRIED_POSITIONS]
    # How far before its own value the last input lies that a label is predicted from: 0 is the value itself.
    gaps = [gap for t in positions if (gap := _gap(model, batch, alignment, t)) is not None]
    if not gaps:
        return 0
    names = f"{alignment.labels!r} holds the values of {alignment.inputs!r}, {_places(alignment.shift)}"
    require(
        any(gap > 0 for gap in gaps),
        f"In a batch of {clip}, {names}, and the loss of a label depends on that very value: the network reads what it "
        "has to predict.",
        "Give the network the inputs before a label only: shift the labels by one position to the left, and let the "
        "attention be causal.",
    )
    least = min(gaps)
    if least > 1:
        raise BrokenRule(
            f"In a batch of {clip}, {names}, but the network predicts a label without the value right before it: the "
            f"labels are shifted by {least} positions in all, and must be shifted by 1.",
            "Shift the labels once, in collate or in forward: networks of transformers do it in forward, so their "
            "labels are the input ids as they are.",
        )
    return len(gaps)


def _places(shift: int) -> str:
    if not shift:
        return "position by position"
    return f"{abs(shift)} position{'s' * (abs(shift) > 1)} {'later' if shift > 0 else 'earlier'}"


def _gap(model: nn.Module, batch: Batch, alignment: Alignment, position: int) -> int | None:
    """Return how many positions before its own value the last input lies that changes the loss of one label.

    None if no input near it changes that loss, as for a position that the network does not learn.
    """
    alone = {name: tensor.clone() for name, tensor in batch.items()}
    for name in label_names(batch):
        alone[name].fill_(-100)
    value = int(alignment.row_of(batch[alignment.labels])[position])
    alignment.row_of(alone[alignment.labels])[position] = value
    counts = item_counts(batch)  # of the whole clip: a kind of labels of which none is left would divide by zero
    usual = loss_of(model, alone, num_items_in_batch=counts)
    if not math.isfinite(usual):
        return None
    own = position + alignment.shift
    values = sorted(set(alignment.row_of(batch[alignment.inputs]).tolist()))
    for gap in range(2 * LARGEST_SHIFT):
        changed_position = own - gap
        if changed_position < 0:
            return None
        changed = {name: tensor.clone() for name, tensor in alone.items()}
        row = alignment.row_of(changed[alignment.inputs])
        row[changed_position] = next(value for value in values if value != int(row[changed_position]))
        if loss_of(model, changed, num_items_in_batch=counts) != usual:
            return gap
    return None
