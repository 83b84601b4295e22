"""The card's table of the checkpoints that a voice was chosen from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MEASURES = {
    "eval_quality": "quality",
    "eval_words": "wrong words",
    "eval_likeness": "likeness",
    "eval_loss": "validation loss",
}
"""What a checkpoint is measured by, and how a table names it."""

CHOSEN = {"eval_quality": "by ear", "eval_loss": "by loss", None: "the last"}


def checkpoints(facts: Mapping[str, Any]) -> str:
    """Show every checkpoint and which of them the voice is; empty where there was one only.

    :param facts: of the training, as ``voice.json`` has them.
    """
    curve = facts.get("curve") or []
    if len(curve) < 2:
        return ""
    columns = [name for name in MEASURES if any(name in row for row in curve)]
    rows = [[_step(row, facts), *(_shown(row.get(name)) for name in columns)] for row in curve]
    table = [["step", *(MEASURES[name] for name in columns)], ["---"] * (len(columns) + 1), *rows]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in table)
    return f"The one in bold was chosen, {CHOSEN[facts.get('chosen_by')]}.\n\n{lines}"


def _step(row: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    return f"**{row['step']}**" if row["step"] == facts["best_step"] else str(row["step"])


def _shown(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"
