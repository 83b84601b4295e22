"""Make changed copies of a clip with audiomentations; the same seed and clip give the same copy."""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from vtune.errors import DataError, RecipeError, in_a_line, listed, nearest
from vtune.recipe import AugmentRecipe
from vtune.types import Waveform

# audiomentations itself changes every other copy (p is 0.5), and cuts what it has stretched.
_DEFAULTS = {"TimeStretch": {"leave_length_unchanged": False}}


class Augmenter:
    """Applies the transforms of a recipe one after the other, each to every copy unless ``p`` is given.

    :raises RecipeError: a transform does not exist, or does not take its arguments.
    """

    def __init__(self, recipe: AugmentRecipe) -> None:
        self._seed = recipe.seed
        self._transforms = [_build(entry, index) for index, entry in enumerate(recipe.transforms)]

    def variant(self, waveform: Waveform, sample_rate: int, key: str, number: int) -> Waveform:
        """Return copy ``number`` of the clip with the id ``key``, ``float32 [samples]``; its length may differ.

        :raises DataError: a transform fails on this clip, or leaves no usable sound.
        """
        # audiomentations uses the global random generators, so they are seeded for this copy and restored afterwards.
        digest = sha256(f"{self._seed}:{key}:{number}".encode()).digest()
        before, before_numpy = random.getstate(), np.random.get_state()
        random.seed(digest)
        np.random.seed(int.from_bytes(digest[:4], "little"))
        try:
            for transform in self._transforms:
                waveform = transform(samples=waveform, sample_rate=sample_rate)
        except Exception as error:  # a transform may raise anything; the clip itself stays usable
            name = type(transform).__name__
            raise DataError(f"changed copy {number}: {name} failed: {in_a_line(error)}") from error
        finally:
            random.setstate(before)
            np.random.set_state(before_numpy)
        changed = np.ascontiguousarray(waveform, dtype=np.float32)
        if not len(changed) or not np.isfinite(changed).all():
            problem = "samples that are not numbers" if len(changed) else "no samples"
            raise DataError(f"changed copy {number}: the transforms leave {problem}")
        peak = float(np.abs(changed).max())
        return changed / np.float32(peak) if peak > 1 else changed


def _build(entry: dict[str, dict[str, Any] | None], index: int) -> Any:
    import audiomentations
    from audiomentations.core.transforms_interface import BaseWaveformTransform

    if len(entry) != 1:
        raise RecipeError([f"'augment.transforms.{index}' must be one transform, found {listed(entry)}"])
    ((name, arguments),) = entry.items()
    names = _transform_names(audiomentations, BaseWaveformTransform)
    if name not in names:
        hint = nearest(name, names) or f" (transforms: {listed(names, name)})"
        raise RecipeError([f"'augment.transforms.{index}': audiomentations has no transform {name!r}{hint}"])
    defaults = {"p": 1.0, **_DEFAULTS.get(name, {})}
    try:
        return getattr(audiomentations, name)(**{**defaults, **(arguments or {})})
    except (TypeError, ValueError, AssertionError, ImportError, OSError) as error:
        raise RecipeError(
            [f"'augment.transforms.{index}': {name} does not take these arguments: {in_a_line(error)}"]
        ) from error


def _transform_names(module: Any, kind: type) -> Sequence[str]:
    members = ((name, getattr(module, name)) for name in dir(module) if not name.startswith("_"))
    return sorted(
        name for name, member in members if isinstance(member, type) and issubclass(member, kind) and member is not kind
    )
