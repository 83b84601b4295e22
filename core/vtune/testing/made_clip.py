"""Synthesise clips, so that tests need no recordings."""

from __future__ import annotations

import numpy as np

from vtune.types import Clip


def made_clip(sample_rate: int, seconds: float, number: int) -> Clip:
    """Make a clip that needs no recording: a rising tone that fades in and out, with a little noise.

    :param number: another number gives another tone, another noise and other words.
    """
    times = np.arange(int(seconds * sample_rate)) / sample_rate
    noise = np.random.default_rng(number).normal(0, 0.01, len(times))
    tone = 0.3 * np.sin(2 * np.pi * (150 + 40 * number + 60 * times) * times) * np.sin(np.pi * times / seconds)
    words = ("one two three", "a longer line of made up words", "yes")[number % 3]
    return Clip(f"made-{number}", "someone", words, (tone + noise).astype(np.float32), sample_rate)
