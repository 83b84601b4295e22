"""What synthesis needs of a voice beside the adapter, taken from its best clips."""

from __future__ import annotations

from typing import Any

from vtune.dataset import best_clips
from vtune.engines import Engine
from vtune.recipe import Recipe
from vtune.runtime.paths import RunFolder
from vtune.types import Conditioning


def extract(engine: Engine, base: Any, recipe: Recipe, run: RunFolder, voice: str) -> Conditioning:
    """Choose clips of one voice and let the engine keep what it needs of them; notes which clips they were."""
    clips = best_clips(recipe, engine, base, run, voice)
    kept = engine.extract_conditioning(base, clips)
    return Conditioning(kept.tensors, {**kept.strings, "vtune.clips": " ".join(clip.id for clip in clips)})
