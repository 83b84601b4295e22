"""A request to a server of language models, and the function that sends it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SamplingRequest:
    """Tokens that a server of language models is to draw.

    :param prompt: ids that they follow.
    :param max_tokens: how many at most.
    :param temperature: 0 takes the likeliest.
    :param stop: ids after which no further one is drawn; the one that was is given too.
    :param allowed: ids to draw from; None for all.
    """

    prompt: Sequence[int]
    seed: int
    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    stop: Sequence[int] = ()
    allowed: Sequence[int] | None = None


TokenSampler = Callable[[SamplingRequest], Generator[int, None, None]]
"""Yields token ids as they are drawn; closed early, no further one is drawn."""
