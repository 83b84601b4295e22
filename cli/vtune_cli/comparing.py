"""What ``vtune evaluate`` and ``vtune compare`` have in common."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from vtune.errors import VoiceError
from vtune.evaluation import BASE
from vtune.evaluation.compare import compare, contestants, first_voice, material_of, recipe_of, table
from vtune.runtime.paths import place_locked
from vtune_cli.talking import echo


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
    evaluated = first.path.stat()
    comparison = compare(first.name, found, material, recipe, several[0], device=device, options=options)
    place = out or first.path / "evaluation"
    with place_locked(first.path) if out is None else nullcontext():
        if out is None and not os.path.samestat(evaluated, first.path.stat()):
            raise VoiceError(f"{first.path}: another voice took this place meanwhile; evaluate it again")
        comparison.write(place)
    for line in table(comparison.evaluation.scores):
        echo(line)
    echo(f"listen: open {place / 'listen.html'}")
