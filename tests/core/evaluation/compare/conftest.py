"""A voice of the toy engine, and the run that made it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vtune import pipeline
from vtune.recipe import Recipe
from vtune.runtime.paths import VoiceFolder


@pytest.fixture
def ann(toy: Callable[..., Recipe], speech: Callable[..., Path]) -> VoiceFolder:
    held = speech("held", count=4, first=50)
    recipe = toy(
        voice="ann",
        train={"epochs": 2, "save_limit": 5},
        evaluate={"source": str(held), "clips": 3, "checkpoint_sentences": 0},
    )
    (voice,) = pipeline.run(recipe)
    return voice
