"""What a training's losses say, without comparing numbers that cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def describe_losses(facts: Mapping[str, Any]) -> str:
    """Return the losses of a training as people read them.

    Training losses of the first and of the last steps are those of different clips, so only their mean is told. The
    validation loss is always that of the same clips: the first one and that of the chosen step are told beside each
    other, where these are two.

    :param facts: of the training, as ``voice.json`` has them.

    >>> describe_losses({"loss": 4.2, "curve": [{"step": 4, "eval_loss": 4.0}, {"step": 8, "eval_loss": 3.5}],
    ...                  "best_step": 8})
    'training loss 4.200 on average; validation loss 4.000 at step 4, 3.500 at step 8'
    """
    training = f"training loss {facts['loss']:.3f} on average"
    losses = {row["step"]: row["eval_loss"] for row in facts.get("curve") or () if "eval_loss" in row}
    if not losses:
        return training
    first, last = min(losses), facts["best_step"] if facts["best_step"] in losses else max(losses)
    steps = [first, last] if first != last else [last]
    return f"{training}; validation loss {', '.join(f'{losses[step]:.3f} at step {step}' for step in steps)}"
