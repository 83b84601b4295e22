"""A request to a server of language models, and the function that sends it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SamplingRequest:
    """The tokens that a server of language models shall sample.

    :param prompt: the token ids before them.
    :param max_tokens: the largest number of sampled tokens.
    :param temperature: 0 always takes the most likely token.
    :param stop: ids that end the sampling; the id that ended it is yielded too.
    :param allowed: the ids that may be sampled; None for all.
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
"""Yields token ids as they are sampled; when it is closed, no further token is sampled."""
