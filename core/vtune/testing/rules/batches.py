"""Making batches."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from vtune.testing.rule import BrokenRule, NotApplicable, require, rule
from vtune.testing.rules.clips import clips_are_encoded, paired_features_exist
from vtune.testing.subject import Subject, differing
from vtune.types import Batch, Features


def label_names(batch: Batch) -> list[str]:
    """Return the names of the tensors that hold targets, -100 where nothing is learned."""
    return [name for name in batch if name == "labels" or name.endswith("_labels")]


def item_counts(batch: Batch) -> Any:
    """Return what training gives as ``num_items_in_batch``: a number, or several by name for kinds of labels."""
    names = label_names(batch)
    counts = {name: batch[name].ne(-100).sum() for name in names}
    if not counts:
        return batch["items"].sum()
    return counts["labels"] if list(counts) == ["labels"] else counts


def total(counts: Any) -> float:
    """Return the number of all targets."""
    return float(sum(counts.values()) if isinstance(counts, Mapping) else counts)


@rule(
    why="A mistyped name stops the training at its first batch; a row may also stand alone, in a voice of one clip.",
    change="Read the other clip's feature as row.get('paired.<name>'), and use the row's own where there is none.",
    after=(clips_are_encoded, paired_features_exist),
)
def paired_rows_are_collated(subject: Subject) -> None:
    """collate takes rows with the features of another clip, and rows without."""
    if not subject.info.paired_features:
        raise NotApplicable("engine_info names no paired_features")
    for rows, what in ((subject.paired_rows, "with"), (subject.rows, "without")):
        try:
            subject.call("collate", base=subject.base, features=copy.deepcopy(rows))
        except Exception as error:
            raise BrokenRule(f"collate does not take rows {what} paired features: {error}.") from error


@rule(
    why="Each epoch reads the rows again: the second one would learn from something else.",
    change="Make new tensors of the rows: torch.as_tensor(row[...]).clone(), and change only those.",
    after=(clips_are_encoded, paired_rows_are_collated),
)
def collate_leaves_the_rows_alone(subject: Subject) -> None:
    """collate does not change the rows that it gets, and makes the same batch of the same rows."""
    rows = copy.deepcopy(subject.rows)
    first = _collated(subject, rows)
    for index, (row, before) in enumerate(zip(rows, subject.rows, strict=True)):
        name = differing(row, before)
        require(name is None, f"collate changed the feature {name!r} of row {index + 1} in place.")
    name = differing(first, _collated(subject, rows))
    require(
        name is None,
        f"Two batches of the same rows have different {name!r}.",
        "Draw nothing at random in collate; what a loss needs comes from the key 'lot' of each row.",
    )


def _collated(subject: Subject, rows: Sequence[Features]) -> dict[str, np.ndarray]:
    """Make a batch, and copy its tensors to arrays; what is wrong with the batch has a rule of its own."""
    batch = subject.call("collate", base=subject.base, features=rows)
    return {name: np.array(tensor) for name, tensor in batch.items()} if isinstance(batch, Mapping) else {}


@rule(
    why="The training loop sends every tensor of the batch to the device and to the model's forward.",
    change="Return a dict of CPU tensors whose first axis is the number of clips, with 'labels' (int64, -100 where "
    "nothing is learned), or 'items' (int64 [B], the number of targets of each clip).",
    after=(paired_rows_are_collated, collate_leaves_the_rows_alone),
)
def batches_are_tensors(subject: Subject) -> None:
    """collate makes CPU tensors [B, ...] by name, with labels or with the number of items of each clip."""
    batch = subject.call("collate", base=subject.base, features=copy.deepcopy(subject.rows))
    require(isinstance(batch, Mapping), f"collate returned a {type(batch).__name__}.")
    for name, tensor in batch.items():
        kind = type(tensor).__name__
        require(isinstance(tensor, torch.Tensor), f"collate returned {name!r} as {kind}, which is no torch.Tensor.")
        require(tensor.device.type == "cpu", f"collate returned {name!r} on the device {tensor.device}.")
        require(
            tensor.ndim > 0 and len(tensor) == len(subject.rows),
            f"collate returned {name!r} of shape {list(tensor.shape)} for {len(subject.rows)} clips.",
        )
        is_lot = name == "lot" or bool(torch.equal(tensor.double().flatten()[: len(subject.rows)], _lots(subject)))
        require(
            tensor.dtype != torch.float64 or is_lot,
            f"collate returned {name!r} as float64, but the network computes in float32.",
            f"Write torch.as_tensor(row[...], dtype=torch.float32) for {name!r}.",
        )
    require(
        label_names(batch) or "items" in batch,
        f"collate returned {', '.join(batch)}: neither 'labels' nor 'items'.",
    )
    for name in label_names(batch):
        require(not batch[name].is_floating_point(), f"The labels {name!r} are {batch[name].dtype}, not integers.")
    _ = subject.batch


def _lots(subject: Subject) -> torch.Tensor:
    return torch.tensor([float(row["lot"]) for row in subject.rows], dtype=torch.float64)


@rule(
    why="vtune gives each row of a batch what belongs to its clip: the voice, the length, the place in a log.",
    change="Keep the order of the rows: batch[name][index] belongs to features[index].",
    after=(batches_are_tensors,),
)
def batches_keep_the_order(subject: Subject) -> None:
    """Row number N of a batch is that of clip number N."""
    batch = subject.batch
    alone = [subject.collate([row]) for row in subject.rows]
    for index, single in enumerate(alone):
        if _begins_as(batch, index, single):
            continue
        other = next((place for place in range(len(alone)) if _begins_as(batch, place, single)), None)
        require(
            other is None, f"Clip {index + 1} of a batch is in row {(other or 0) + 1}: the rows are in another order."
        )


def _begins_as(batch: Batch, index: int, alone: Batch) -> bool:
    """Tell whether a row of a batch begins with all that a clip has alone."""
    for name, tensor in alone.items():
        single, among = tensor[0], batch[name][index]
        if any(few > many for few, many in zip(single.shape, among.shape, strict=True)):
            return False
        if not torch.equal(among[tuple(slice(0, size) for size in single.shape)], single):
            return False
    return True


@rule(
    why="A clip without targets is trained on in name only: it costs time and teaches nothing.",
    change="Keep the labels of the sound that the network must learn; -100 belongs on the padding and on the prompt "
    "alone. The labels of a clip may not depend on how long its neighbours are.",
    after=(batches_keep_the_order,),
)
def labels_are_not_all_ignored(subject: Subject) -> None:
    """Every clip has something to learn: labels other than -100, or items."""
    for index, row in enumerate(subject.rows):
        batch = subject.collate([row])
        count = total(item_counts(batch))
        require(count > 0, f"Clip {index + 1} has no target: {_targets(batch)}.")
    batch = subject.batch
    for index in range(len(subject.rows)):
        alone = subject.collate([subject.rows[index]])
        for name in label_names(batch) or ["items"]:
            among, single = _count(batch[name][index], name), _count(alone[name][0], name)
            require(
                among == single,
                f"Clip {index + 1} has {single} targets in {name!r} alone, and {among} in a batch with longer clips.",
                "Give each clip the same targets in every batch; the padding behind its end is -100.",
            )


def _targets(batch: Batch) -> str:
    names = label_names(batch)
    if not names:
        return f"items is {batch['items'].tolist()}"
    return ", ".join(f"all {batch[name].numel()} labels of {name!r} are -100" for name in names)


def _count(targets: torch.Tensor, name: str) -> int:
    return int(targets.sum()) if name == "items" else int(targets.ne(-100).sum())


@rule(
    why="Masks, positions and the guards after a training rely on a clip beginning at the first position.",
    change="Pad behind the clip: tensor[index, :length] = row, or nn.utils.rnn.pad_sequence(rows, batch_first=True).",
    after=(labels_are_not_all_ignored,),
)
def padding_is_on_the_right(subject: Subject) -> None:
    """In a batch, a clip begins where it begins alone; the padding is behind it."""
    batch = subject.batch
    for index, row in enumerate(subject.rows):
        alone = subject.collate([row])
        for name, tensor in alone.items():
            single, among = tensor[0], batch[name][index]
            if single.ndim == 0 or any(few > many for few, many in zip(single.shape, among.shape, strict=True)):
                continue
            there = among[tuple(slice(0, size) for size in single.shape)]
            require(
                torch.equal(there, single),
                f"{name!r} of clip {index + 1} is {_some(single)} alone, and {_some(there)} at the same places in a "
                "batch with longer clips.",
            )


def _some(tensor: torch.Tensor) -> str:
    return str([round(float(value), 3) for value in tensor.flatten()[:6]]).replace("]", ", ...]")
