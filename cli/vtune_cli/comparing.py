"""What ``vtune evaluate`` and ``vtune compare`` have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from vtune.compare import compare, contestants, material_of, recipe_of, table
from vtune.evaluate import BASE
from vtune.voices import find_voice


def contest(
    names: Sequence[str], against: Sequence[str], texts: Sequence[str], overrides: Sequence[str], out: Path | None,
    device: str, options: Mapping[str, Any], voices: Path,
) -> None:  # fmt: skip
    """Compare, write, and say what came of it; a voice alone is compared with its base."""
    several = [*names, *against]
    if BASE not in several and (against or len(several) == 1):
        several.insert(0, BASE)
    named = next((name for name in several if name != BASE and ":" not in name), several[0])
    recipe = recipe_of(find_voice(named.split("@")[0], voices), overrides)
    found = contestants(several, voices, recipe.folders.runs)
    first = found[0].voice
    material = material_of(first, recipe, texts)
    comparison = compare(found, material, recipe, several[0], device=device, options=options)
    place = out or first.path / "evaluation"
    comparison.write(place)
    for line in table(comparison.evaluation.scores):
        click.echo(line)
    click.echo(f"listen: open {place / 'listen.html'}")
