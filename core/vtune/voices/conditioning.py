"""Extract the conditioning of a voice, the data that speech needs beside the adapter, from its best clips."""

from __future__ import annotations

from typing import Any

from vtune.dataset import best_clips
from vtune.engines import Engine
from vtune.recipe import Recipe
from vtune.runtime.paths import RunFolder
from vtune.types import Conditioning


def extract(engine: Engine, base: Any, recipe: Recipe, run: RunFolder, voice: str) -> Conditioning:
    """Choose the best clips of a voice, let the engine extract its conditioning, and record the ids of the clips."""
    clips = best_clips(recipe, engine, base, run, voice)
    conditioning = engine.extract_conditioning(base, clips, recipe.engine_options)
    return Conditioning(
        conditioning.tensors, {**conditioning.strings, "vtune.clips": " ".join(clip.id for clip in clips)}
    )
