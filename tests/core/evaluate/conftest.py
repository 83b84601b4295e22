"""Takes and clips made of noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vtune.evaluate import Take
from vtune.types import Clip, Ending

RATE = 16_000


def noise(seconds: float, seed: int = 0, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, round(seconds * RATE)).astype(np.float32)


@pytest.fixture
def clip() -> Callable[..., Clip]:
    def make(text: str, seconds: float = 2.5, seed: int = 0, sound: Any = None) -> Clip:
        return Clip(text, "someone", text, noise(seconds, seed) if sound is None else sound, RATE)

    return make


@pytest.fixture
def take() -> Callable[..., Take]:
    def make(text: str, system: str = "voice", *, seconds: float = 2.5, seed: int = 0, **further: Any) -> Take:
        further = {"ending": Ending.END_TOKEN, "took": 0.1, "first": 0.05, **further}
        return Take(text, seed, system, further.pop("sound", noise(seconds, seed + 100)), RATE, **further)

    return make
