"""Changed copies of a clip, by audiomentations: the same seed and clip give the same copy."""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from vtune.errors import RecipeError, nearest
from vtune.recipe import AugmentRecipe
from vtune.types import Waveform


class Augmenter:
    """The transforms of a recipe, applied one after the other.

    :raises RecipeError: a transform does not exist or does not take its arguments.
    """

    def __init__(self, recipe: AugmentRecipe) -> None:
        self._seed = recipe.seed
        self._transforms = [_build(entry, place) for place, entry in enumerate(recipe.transforms)]

    def variant(self, waveform: Waveform, sample_rate: int, key: str, number: int) -> Waveform:
        """Return variant ``number`` of the clip known by ``key``; the length may change, the rate does not."""
        # audiomentations draws from the global generators, so they are set for this copy and put back after it.
        digest = sha256(f"{self._seed}:{key}:{number}".encode()).digest()
        before, before_numpy = random.getstate(), np.random.get_state()
        random.seed(digest)
        np.random.seed(int.from_bytes(digest[:4], "little"))
        try:
            for transform in self._transforms:
                waveform = transform(samples=waveform, sample_rate=sample_rate)
        finally:
            random.setstate(before)
            np.random.set_state(before_numpy)
        return np.ascontiguousarray(waveform, dtype=np.float32)


def _build(entry: dict[str, dict[str, Any] | None], place: int) -> Any:
    import audiomentations
    from audiomentations.core.transforms_interface import BaseWaveformTransform

    if len(entry) != 1:
        raise RecipeError([f"augment.transforms.{place}: one transform an item, found {', '.join(entry) or 'none'}"])
    ((name, arguments),) = entry.items()
    known = _transform_names(audiomentations, BaseWaveformTransform)
    if name not in known:
        hint = nearest(name, known) or f" (known: {', '.join(known)})"
        raise RecipeError([f"augment.transforms.{place}: audiomentations has no transform {name!r}{hint}"])
    try:
        return getattr(audiomentations, name)(**(arguments or {}))
    except (TypeError, ValueError, AssertionError, ImportError, OSError) as error:
        raise RecipeError([f"augment.transforms.{place}: {name} refuses its arguments: {error}"]) from error


def _transform_names(module: Any, kind: type) -> Sequence[str]:
    things = ((name, getattr(module, name)) for name in dir(module) if not name.startswith("_"))
    return sorted(
        name for name, thing in things if isinstance(thing, type) and issubclass(thing, kind) and thing is not kind
    )
