"""The card's table of the checkpoints that a voice was chosen from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PREFIX = "eval_"


def checkpoints(facts: Mapping[str, Any]) -> str:
    """Show every checkpoint, and which of them became the voice; empty where there was only one.

    :param facts: of the training, as ``voice.json`` has them.
    """
    curve = facts.get("curve") or []
    if len(curve) < 2:
        return ""
    # The loss stands last: it is what a checkpoint is chosen by only where nothing else was measured.
    columns = sorted(
        dict.fromkeys(name for row in curve for name in row if name.startswith(_PREFIX)), key="eval_loss".__eq__
    )
    heads = ["step", *("validation loss" if name == "eval_loss" else name.removeprefix(_PREFIX) for name in columns)]
    rows = [[_step(row, facts), *(_shown(row.get(name)) for name in columns)] for row in curve]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])
    reason = facts.get("chosen_by")
    chosen = f"was chosen by {reason}" if reason else "is the last one"
    return f"The checkpoint in bold became the voice: it {chosen}.\n\n{lines}"


def _step(row: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    return f"**{row['step']}**" if row["step"] == facts["best_step"] else str(row["step"])


def _shown(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"
