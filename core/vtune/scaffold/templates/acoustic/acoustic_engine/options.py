"""What a recipe may say under ``engine_options``."""

from __future__ import annotations

from typing import Literal

import vtune


class AcousticOptions(vtune.EngineOptions):
    """What the network reads, the network, the length of clips, and how the voice speaks."""

    digits: Literal["spell", "drop"] = vtune.option(
        "spell", affects="text", description="What happens to a digit: `spell` makes it a word, `drop` leaves it out."
    )
    width: int = vtune.option(
        96, affects=("training", "runtime"), ge=16, le=1024, description="The width of the network."
    )
    max_frames: int = vtune.option(
        1250,
        affects="features",
        ge=1,
        description="The largest number of frames of one clip (62.5 frames are one second). Longer clips are left out.",
    )
    flow_steps: int = vtune.option(
        8, affects="sampling", ge=1, le=100, description="The number of steps from noise to a spectrogram."
    )
    pace: float = vtune.option(
        1.0, affects="sampling", ge=0.25, le=4, description="How slowly the voice speaks: 2 is half as fast as usual."
    )
