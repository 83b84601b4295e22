"""Settings for cutting recordings: the recipe's ``prepare:`` section with its defaults filled in."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.util import find_spec
from typing import Literal

from vtune.audio.levels import Loudness
from vtune.audio.segmentation.segments import ClipLengths
from vtune.errors import VtuneError
from vtune.recipe import PrepareRecipe
from vtune.recipe.data_sections import MAX_CUT_SECONDS, MIN_CUT_SECONDS, MIN_LONE_SECONDS

CUT_VERSION = 2
"""Increase this number whenever the same recording would be cut differently."""

DEFAULT_SPEECH_DBFS = -20.0
"""Level of the speech in a clip."""


@dataclass(frozen=True, slots=True)
class CutSettings:
    """Settings for cutting recordings.

    :param lengths: wanted lengths of clips and pauses.
    :param sample_rate: samples per second of the clips; None keeps the rate of each recording.
    :param threshold: level below which sound is a pause, in dBFS of a recording at ``target_loudness``; None follows
        the noise of the recording.
    :param vad: find speech with a network that recognises music and noise; ``auto`` uses it for recordings whose
        noise asks for it, where it is installed.
    :param target_loudness: loudness of the speech of each clip, in dBFS or LUFS.
    """

    lengths: ClipLengths
    sample_rate: int | None
    threshold: float | None
    vad: bool | Literal["auto"]
    target_loudness: float
    loudness: Loudness

    @classmethod
    def from_recipe(cls, recipe: PrepareRecipe, sample_rate: int | None) -> CutSettings:
        """Return the settings of a recipe, with defaults for the values that it leaves out.

        :param sample_rate: samples per second of the clips if the recipe names none.
        :raises VtuneError: the lengths contradict each other, or a required extra is not installed.
        """
        for required, module, extra in (
            (recipe.vad is True, "silero_vad", "vad"),
            (recipe.loudness == "lufs", "pyloudnorm", "loudness"),
        ):
            if required and find_spec(module) is None:
                raise VtuneError(f"{extra} needs {module}: install vtune-tts with the extra {extra!r}")
        max_seconds = MAX_CUT_SECONDS if recipe.max_seconds is None else recipe.max_seconds
        min_seconds, lone_seconds = (recipe.min_seconds, recipe.min_seconds)
        if min_seconds is None or lone_seconds is None:
            min_seconds, lone_seconds = min(MIN_CUT_SECONDS, max_seconds / 2), min(MIN_LONE_SECONDS, max_seconds / 2)
        return cls(
            ClipLengths(min_seconds, max_seconds, recipe.silence_seconds, lone_seconds=lone_seconds),
            recipe.sample_rate or sample_rate,
            recipe.silence_threshold,
            recipe.vad,
            DEFAULT_SPEECH_DBFS if recipe.target_loudness is None else recipe.target_loudness,
            recipe.loudness,
        )

    @property
    def has_network(self) -> bool:
        """Tell whether recordings that need the network are given to it."""
        return bool(self.vad) and find_spec("silero_vad") is not None

    @property
    def key(self) -> str:
        """Hash of all settings that the clips depend on, 16 hexadecimal digits."""
        return sha256(json.dumps([CUT_VERSION, asdict(self)], sort_keys=True).encode()).hexdigest()[:16]
