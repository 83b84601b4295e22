"""``train.frozen``: tensors of a network that keep the values of the base while all others are trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from peft import PeftModel
from torch import nn

from vtune.errors import TrainingError, nearest, shown
from vtune.training.guards import FROZEN_TENSORS
from vtune.training.learning_rates import matching_tensors

logger = logging.getLogger(__name__)

KEY = "train.frozen"


def freeze(model: nn.Module, keys: Sequence[str]) -> None:
    """Freeze the tensors of a network that the keys match.

    :param keys: of ``train.frozen``.
    :raises TrainingError: the model has an adapter, a key matches no tensor, or nothing is left to train.
    """
    if not keys:
        return
    if isinstance(model, PeftModel):
        raise TrainingError(
            f"{KEY} is for train.method: full; with an adapter the whole base is frozen, and lora.targets says what is "
            "adapted"
        )
    names = [name for name, _ in model.named_parameters()]
    matches = matching_tensors(keys, names, KEY)
    for key in keys:
        if not matches[key]:
            words = sorted({word for name in names for word in name.split(".")})
            raise TrainingError(f"{KEY}: {shown(key)} matches no tensor of the network{nearest(key, words)}")
    frozen = frozenset(name for matched in matches.values() for name in matched)
    if len(frozen) == len(names):
        raise TrainingError(f"{KEY} freezes all {len(names)} tensors of the network, so nothing would be trained")
    for name, parameter in model.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    setattr(model, FROZEN_TENSORS, frozen)
    logger.info("%d of %d tensors keep the values of the base (%s)", len(frozen), len(names), KEY)
