"""What clips shall be like: the recipe's ``prepare:`` section with its defaults filled in."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.util import find_spec

from vtune.audio.levels import Loudness
from vtune.audio.segmentation.segments import Wanted
from vtune.errors import VtuneError
from vtune.recipe import PrepareRecipe

VERSION = 1
"""Raised whenever the same recording would be cut otherwise."""

SHORTEST, LONGEST, LOUDNESS = 3.0, 13.0, -20.0


@dataclass(frozen=True, slots=True)
class Cutting:
    """How recordings are cut.

    :param sample_rate: Hz of the clips; None leaves each recording's own.
    :param threshold: dBFS under which it is quiet, the recording being brought to ``target_loudness``; None follows the
        recording's own noise.
    :param target_loudness: of the speech of each clip, in dBFS or LUFS.
    """

    wanted: Wanted
    sample_rate: int | None
    threshold: float | None
    vad: bool
    target_loudness: float
    loudness: Loudness

    @classmethod
    def of(cls, recipe: PrepareRecipe, sample_rate: int | None) -> Cutting:
        """Fill in the defaults.

        :param sample_rate: where the recipe names none.
        :raises VtuneError: the lengths contradict each other, or an extra that is asked for is not installed.
        """
        for asked, module, extra in (
            (recipe.vad, "silero_vad", "vad"),
            (recipe.loudness == "lufs", "pyloudnorm", "loudness"),
        ):
            if asked and find_spec(module) is None:
                raise VtuneError(f"{extra} needs {module}: install vtune-tts with the extra {extra!r}")
        shortest = SHORTEST if recipe.min_seconds is None else recipe.min_seconds
        longest = LONGEST if recipe.max_seconds is None else recipe.max_seconds
        return cls(
            Wanted(shortest, longest, recipe.silence_seconds),
            recipe.sample_rate or sample_rate,
            recipe.silence_threshold,
            recipe.vad,
            LOUDNESS if recipe.target_loudness is None else recipe.target_loudness,
            recipe.loudness,
        )

    @property
    def key(self) -> str:
        """Hash of all that clips depend on beside their recording."""
        return sha256(json.dumps([VERSION, asdict(self)], sort_keys=True).encode()).hexdigest()[:16]
