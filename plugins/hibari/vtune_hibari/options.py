"""What a recipe may say under ``engine_options`` for hibari."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from vtune import EngineOptions, option
from vtune.toolkit.lexicon import LexiconOption


class HibariOptions(EngineOptions):
    """The base, how texts are read, clips, training, and how the voice speaks."""

    base_model: str = option(
        "heart",
        affects=("training", "runtime"),
        min_length=1,
        description="The base: heart, which comes with the package hibari-tts; emma, fable, fenrir or kore, which are "
        "downloaded from the Hub; or the path of an .onnx file of this kind, or of what `vtune merge` wrote.",
    )
    accent: Literal["american", "british"] | None = option(
        None,
        affects="text",
        description="Whose pronunciation turns texts into phonemes. If it is null, it is the base's own, or american "
        "for a file that does not name one.",
    )
    lexicon: LexiconOption = option(
        {},
        affects="text",
        description="How words are read: a mapping, or the path of a YAML or tab-separated file. `Kathleen: kath leen` "
        "respells a word; `Piper: /pˈIpəɹ/` gives its phonemes. The voice keeps the words, not the path.",
    )
    max_seconds: PositiveFloat = option(
        20.0, affects="features", le=120, description="The longest clip, in seconds. Longer clips are left out."
    )
    aligner_steps: PositiveInt | None = option(
        None,
        affects="features",
        le=100_000,
        description="How long the aligner of a base learns from the base's own speech; it is kept for all voices of "
        "the base. By default, heart has the aligner that comes with vtune, and another base learns for 600 steps.",
    )
    min_alignment_confidence: float = option(
        -3.4,
        affects="features",
        le=0,
        description="A clip whose recording fits its text less than this is left out: the mean log probability of its "
        "symbols, about -2 for speech that is read.",
    )

    # Speaking
    speed: PositiveFloat = option(
        1.0, affects="sampling", ge=0.25, le=4, description="How fast the voice speaks: 2 is twice as fast."
    )
    noise_scale: NonNegativeFloat = option(
        1.0,
        affects="sampling",
        le=2,
        description="How much of the breath in the sound is kept: 0 is none, 1 is what the voice has learned.",
    )
    sentence_pause: NonNegativeFloat = option(
        0.2,
        affects="sampling",
        le=10,
        description="The seconds of silence between two sentences; silence that the voice speaks itself counts.",
    )
