"""Extract the conditioning of a voice, the data that speech needs beside the adapter, from its best clips."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any

import numpy as np

from vtune.dataset import best_clips
from vtune.engines import Engine
from vtune.errors import VoiceError
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


def require_different(engine: Engine, extract: Callable[[str], Conditioning], voices: Iterable[str]) -> None:
    """Check that the voices of one training, which share one adapter, are told apart by their conditioning.

    :param extract: returns the conditioning of a voice.
    :raises VoiceError: two voices have the same conditioning, so both would speak with the mean of all voices.
    """
    extracted = {voice: extract(voice) for voice in voices}
    for first, second in combinations(extracted, 2):
        if _is_same(extracted[first], extracted[second]):
            raise VoiceError(
                f"voices {first!r} and {second!r} would be one voice: they share one adapter, and with this base "
                f"engine {engine.name!r} keeps nothing else that tells them apart; write one recipe for each voice"
            )


def _is_same(first: Conditioning, second: Conditioning) -> bool:
    """Compare what the engine keeps; strings of vtune's own name clips."""
    strings = [
        {name: text for name, text in kept.strings.items() if not name.startswith("vtune.")} for kept in (first, second)
    ]
    return (
        strings[0] == strings[1]
        and first.tensors.keys() == second.tensors.keys()
        and all(np.array_equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items())
    )
