"""What ``vtune evaluate`` and ``vtune compare`` have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from vtune.compare import compare, contestants, first_voice, material_of, recipe_of, table
from vtune.evaluate import BASE


def contest(
    names: Sequence[str], against: Sequence[str], texts: Sequence[str], overrides: Sequence[str], out: Path | None,
    device: str, options: Mapping[str, Any], voices: Path,
) -> None:  # fmt: skip
    """Compare, write, and say what came of it; a voice alone is compared with its base."""
    several = [*names, *against]
    if BASE not in several and (against or len(several) == 1):
        several.insert(0, BASE)
    first = first_voice(several, voices)
    recipe = recipe_of(first, overrides)
    found = contestants(several, voices, recipe.folders.runs)
    material = material_of(first, recipe, texts)
    comparison = compare(first.name, found, material, recipe, several[0], device=device, options=options)
    place = out or first.path / "evaluation"
    comparison.write(place)
    for line in table(comparison.evaluation.scores):
        click.echo(line)
    click.echo(f"listen: open {place / 'listen.html'}")
