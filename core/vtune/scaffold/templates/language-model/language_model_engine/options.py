"""What a recipe may say under ``engine_options``."""

from __future__ import annotations

import vtune


class LanguageModelOptions(vtune.EngineOptions):
    """The network, the length of clips, and how the voice speaks."""

    width: int = vtune.option(
        64, affects=("training", "runtime"), ge=16, le=1024, multiple_of=16, description="The width of the network."
    )
    max_tokens: int = vtune.option(
        2048,
        affects="features",
        ge=16,
        description="The largest number of tokens of one clip, text and sound together. Longer clips are left out.",
    )
    patience: float = vtune.option(
        1.5,
        affects="speech",
        ge=1,
        le=10,
        description="Stop an utterance that is this many times longer than the recordings' pace would make it.",
    )
    temperature: float = vtune.option(
        0.7, affects="sampling", ge=0, le=2, description="The temperature of sampling. 0 takes the most likely token."
    )
