"""What the loss of a batch depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vtune.testing.rule import BrokenRule, NotApplicable, require, rule
from vtune.testing.rules.batches import item_counts, labels_are_not_all_ignored, padding_is_on_the_right, total
from vtune.testing.rules.network import adapter_is_built
from vtune.testing.subject import Subject, wake
from vtune.testing.watch import seed_everything
from vtune.types import Batch, Features

if TYPE_CHECKING:
    from torch import nn

LOSS_TOLERANCE = 2e-4
"""Largest difference of two losses that must be equal: sums in float32 round in another order."""

LOT_ADVICE = (
    "Take the randomness of the loss from the rows: put the key 'lot' of each row into the batch, and draw with "
    "vtune.toolkit.normal(lots, ...) or uniform(lots, ...), which depend on nothing else. In eval mode, draw nothing "
    "from torch's global generator, and switch dropout off (nn.functional.dropout(x, p, self.training))."
)


def loss_of(model: nn.Module, batch: Batch, **keywords: Any) -> float:
    """Compute the loss of a batch without gradients; the model gets copies of the tensors."""
    with torch.no_grad():
        output = model(**{name: tensor.clone() for name, tensor in batch.items()}, **keywords)
    return float(output["loss"])


def usable_model(subject: Subject) -> nn.Module:
    """Build a model whose adapter changes something, in eval mode."""
    return subject.model(awake=0.1)


@rule(
    why="The training loop goes down this number; the validation loss is logged from it.",
    change='Return {"loss": loss} with one float32 number: nn.functional.cross_entropy(logits.float(), ...).',
    after=(labels_are_not_all_ignored, adapter_is_built),
)
def forward_returns_a_loss(subject: Subject) -> None:
    """model(**batch)["loss"] is one finite float32 number that depends on the adapter."""
    model = subject.model().train()
    output = model(**subject.batch)
    require(isinstance(output, Mapping), f"The model's forward returned a {type(output).__name__}, not a mapping.")
    require("loss" in output, f"The model's forward returned {', '.join(map(str, output))}: no 'loss'.")
    loss = output["loss"]
    require(isinstance(loss, torch.Tensor), f"The loss is a {type(loss).__name__}, not a tensor.")
    require(loss.ndim == 0, f"The loss has the shape {list(loss.shape)}; it must be one number.", "Take its mean.")
    require(loss.dtype == torch.float32, f"The loss is {loss.dtype}.", "Write logits.float() before the loss.")
    require(torch.isfinite(loss), f"The loss is {float(loss.detach())}.")
    require(
        loss.requires_grad or not any(parameter.requires_grad for parameter in model.parameters()),
        "The loss depends on no trainable tensor.",
        "Compute the loss from the adapted network, without torch.no_grad() and without .detach().",
    )


@rule(
    why="Training gives the same tensors to the model again, to measure and to compare; it would learn from other "
    "data.",
    change="Work on a copy in forward: labels = labels.clone(), or masked_fill instead of masked_fill_.",
    after=(forward_returns_a_loss,),
)
def forward_leaves_the_batch_alone(subject: Subject) -> None:
    """The model's forward does not change the tensors of the batch."""
    for mode in (False, True):
        model, batch = subject.model().train(mode), subject.batch
        before = {name: tensor.clone() for name, tensor in batch.items()}
        model(**batch)
        for name, tensor in batch.items():
            same = tensor.shape == before[name].shape and torch.equal(tensor, before[name])
            require(same, f"forward changed {name!r} of its batch in place.")


@rule(
    why="Validation losses of two checkpoints could not be compared, and the guards after a training compare losses.",
    change=LOT_ADVICE,
    after=(forward_leaves_the_batch_alone,),
)
def validation_loss_repeats(subject: Subject) -> None:
    """In eval mode, one batch always has the same loss, whatever the global random state."""
    model, batch = usable_model(subject), subject.batch
    losses = []
    for seed in (0, 1, 2):
        seed_everything(seed)
        losses.append(loss_of(model, batch))
    spread = max(losses) - min(losses)
    require(
        spread <= 1e-6 * max(1.0, abs(losses[0])),
        f"One batch had the losses {losses[0]:.5f}, {losses[1]:.5f} and {losses[2]:.5f} in eval mode: the loss is "
        "random.",
    )


@rule(
    why="A training that was stopped could not be resumed to the same result.",
    change="Draw from torch's global generator, which vtune seeds and saves, or from the lots of the rows; not from a "
    "generator of your own, the time or os.urandom.",
    after=(validation_loss_repeats,),
)
def training_loss_repeats(subject: Subject) -> None:
    """In training mode, one batch has the same loss again when the random states are the same."""
    model, batch = usable_model(subject).train(), subject.batch
    losses = []
    for _ in range(2):
        seed_everything(0)
        losses.append(loss_of(model, batch))
    require(
        abs(losses[0] - losses[1]) <= 1e-6 * max(1.0, abs(losses[0])),
        f"One batch had the losses {losses[0]:.5f} and {losses[1]:.5f} with the same seeds of torch, NumPy and random.",
    )


@rule(
    why="The learning rate of a recipe would depend on the number of clips in a batch.",
    change="Divide the sum over all labels by their number: cross_entropy(logits, labels, ignore_index=-100), or its "
    "sum "
    "by (labels != -100).sum().",
    after=(validation_loss_repeats,),
)
def loss_is_a_mean(subject: Subject) -> None:
    """The loss is a mean: a clip that is twice in the batch changes nothing."""
    model, row = usable_model(subject), subject.rows[0]
    once, twice = loss_of(model, subject.collate([row])), loss_of(model, subject.collate([row, row]))
    require(
        abs(once - twice) <= _tolerance(once),
        f"A clip had the loss {once:.5f}, and twice in one batch {twice:.5f}"
        + (": the loss is a sum, not a mean." if abs(twice - 2 * once) < 0.1 * abs(once) else "."),
    )


@rule(
    why="What a clip teaches would depend on chance: on which other clips share its batch.",
    change="Compute each row by itself: no batch normalisation, no statistic or attention over the first axis.",
    after=(loss_is_a_mean,),
)
def loss_ignores_neighbours(subject: Subject) -> None:
    """A clip has the same loss beside any other clip of its length."""
    model = usable_model(subject)
    row = subject.rows[0]
    neighbour = _neighbour(subject)
    if neighbour is None:
        raise NotApplicable("two clips of one length were encoded to different lengths")
    together, expected = _together_and_expected(model, subject, [row, neighbour])
    require(
        abs(together - expected) <= _tolerance(expected),
        f"Two clips of one length had the loss {together:.5f} in one batch, but {expected:.5f} by their losses alone.",
    )


def _neighbour(subject: Subject) -> Features | None:
    """Encode a clip with other sound, to features with the same shapes as those of the first clip."""
    other = subject.other_sound(subject.clips[0])
    row = {name: np.asarray(array) for name, array in subject.encode(other).items()}
    first = subject.features[0]
    if any(row[name].shape != first[name].shape for name in first):
        return None
    stored = {name: array.astype(subject.rows[0][name].dtype) for name, array in row.items()}
    return {**stored, "lot": np.asarray(0.7)}


def _together_and_expected(model: nn.Module, subject: Subject, rows: Sequence[Features]) -> tuple[float, float]:
    """Return the loss of a batch, and what it must be by the losses of its clips alone."""
    batch = subject.collate(rows)
    return loss_of(model, batch), _expected(model, subject, rows, batch)


def _expected(model: nn.Module, subject: Subject, rows: Sequence[Features], batch: Batch) -> float:
    counts = item_counts(batch)
    alone = [subject.collate([row]) for row in rows]
    if isinstance(counts, Mapping):  # several kinds of labels: their proportions are the engine's own
        return sum(loss_of(model, single, num_items_in_batch=counts) for single in alone)
    return sum(loss_of(model, single) * float(item_counts(single)) for single in alone) / float(counts)


def _tolerance(loss: float) -> float:
    return LOSS_TOLERANCE * max(1.0, abs(loss))


@rule(
    why="Short clips would weigh as much as long ones, so each label of a short clip teaches several times as much.",
    change="Sum over all labels of the batch and divide once by their number, instead of a mean of the clips' means.",
    after=(loss_ignores_neighbours,),
)
def loss_counts_labels_not_clips(subject: Subject) -> None:
    """The loss is the mean over all labels (or items) of a batch, not over its clips."""
    model, rows = usable_model(subject), subject.rows
    batch = subject.collate(rows)
    if isinstance(item_counts(batch), Mapping):
        raise NotApplicable("the engine has several kinds of labels, whose proportions are its own")
    together, expected = _together_and_expected(model, subject, rows)
    by_clips = sum(loss_of(model, subject.collate([row])) for row in rows) / len(rows)
    if abs(together - expected) > _tolerance(expected) and abs(together - by_clips) <= _tolerance(by_clips):
        raise BrokenRule(
            f"A batch had the loss {together:.5f}: that is the mean of its clips' losses, but the mean over its labels "
            f"is {expected:.5f}."
        )


@rule(
    why="A clip would teach something else in each batch, and short clips would be trained on padding.",
    change="Mask the padding: -100 in the labels, an attention mask, and a divisor that counts labels and not "
    "positions.",
    after=(loss_counts_labels_not_clips, padding_is_on_the_right),
)
def loss_ignores_padding(subject: Subject) -> None:
    """A clip has the same loss alone and padded, beside a longer clip."""
    model, rows = usable_model(subject), subject.rows
    together, expected = _together_and_expected(model, subject, rows)
    require(
        abs(together - expected) <= _tolerance(expected),
        f"A batch of clips of unequal length had the loss {together:.5f}, but {expected:.5f} by its clips' losses "
        "alone; "
        "clips of one length had no such difference.",
    )


@rule(
    why="With gradient accumulation and several processes, a step would not be the mean over its labels, so the same "
    "recipe learns something else on another number of GPUs.",
    change="Take num_items_in_batch in forward: loss = total / (num_items_in_batch if num_items_in_batch is not None "
    "else count), and set accepts_loss_kwargs = True on the class of the network.",
    after=(loss_ignores_padding,),
)
def num_items_in_batch_is_used(subject: Subject) -> None:
    """With num_items_in_batch, the loss is the sum over all labels divided by that number."""
    model, batch = usable_model(subject), subject.batch
    counts = item_counts(batch)
    mean = loss_of(model, batch)
    try:
        same, half = (loss_of(model, batch, num_items_in_batch=_scaled(counts, factor)) for factor in (1, 2))
    except TypeError as error:
        raise BrokenRule(f"The model's forward does not take num_items_in_batch: {error}.") from error
    require(
        abs(same - mean) <= _tolerance(mean),
        f"A batch of {total(counts):.0f} labels had the loss {mean:.5f}, and {same:.5f} with num_items_in_batch="
        f"{total(counts):.0f}.",
    )
    require(
        abs(half - mean / 2) <= _tolerance(mean),
        f"With num_items_in_batch={total(counts):.0f} a batch had the loss {same:.5f}, and {half:.5f} with twice that "
        f"number; {mean / 2:.5f} is half.",
    )


def _scaled(counts: Any, factor: int) -> Any:
    if isinstance(counts, Mapping):
        return {name: count * factor for name, count in counts.items()}
    return counts * factor


@rule(
    why="A recipe of another machine trains in bf16; the loss would be rounded to three digits, or not be computed.",
    change="Compute the loss in float32 (logits.float()), and create tensors inside the network with the dtype of its "
    "weights: x.to(self.weight.dtype).",
    after=(forward_returns_a_loss, validation_loss_repeats),
)
def loss_holds_in_bf16(subject: Subject) -> None:
    """With weights in bf16, and under autocast, the loss is float32, finite and near that in float32."""
    usual = loss_of(usable_model(subject), subject.batch)
    half_base = subject.engine.load_base(subject.engine_options, torch.device("cpu"), torch.bfloat16)
    for base, what in ((half_base, "With weights in bf16"), (subject.base, "Under autocast to bf16")):
        torch.manual_seed(subject.seed)
        model = subject.engine.build_lora_model(base, subject.info.lora).eval()
        wake(model, 0.1, subject.seed)
        try:
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                loss = model(**subject.batch)["loss"]
        except Exception as error:
            raise BrokenRule(f"{what}, the model's forward fails: {' '.join(str(error).split())[:200]}.") from error
        require(loss.dtype == torch.float32, f"{what}, the loss is {loss.dtype}.")
        require(
            torch.isfinite(loss) and abs(float(loss) - usual) <= 0.05 * max(1.0, abs(usual)),
            f"{what}, a batch had the loss {float(loss):.5f}, but {usual:.5f} in float32.",
        )
