"""Choose the next token from logits, and collect sampled tokens into frames of seven."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Self

import torch
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from vtune import Ending
from vtune.errors import NoNumbersError
from vtune_orpheus.layout import SLOTS, Layout
from vtune_orpheus.options import OrpheusOptions


@dataclass(frozen=True, slots=True)
class OrpheusSampling:
    """Settings of sampling. A temperature of 0 always takes the most likely token."""

    temperature: float
    top_p: float
    repetition_penalty: float
    max_new_tokens: int

    @classmethod
    def of(cls, options: OrpheusOptions) -> Self:
        """Take the sampling settings out of the engine's options."""
        return cls(options.temperature, options.top_p, options.repetition_penalty, options.max_new_tokens)

    def scores(self, logits: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Apply the repetition penalty, then transformers' temperature and top-p; return ``[B x n]``.

        :param logits: float32 ``[B x n]`` of the allowed tokens only, so that top-p counts no others; -inf where a
            token is not allowed in a row.
        :param seen: bool ``[B x n]``: the token is in the prompt or was sampled before.
        """
        penalty = self.repetition_penalty
        if penalty != 1.0:
            logits = torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)
        if self.temperature > 0:
            logits = TemperatureLogitsWarper(self.temperature)(None, logits)
            if self.top_p < 1.0:
                logits = TopPLogitsWarper(self.top_p)(None, logits)
        return logits

    def pick(self, scores: torch.Tensor, generators: Sequence[torch.Generator]) -> list[int]:
        """Choose one column in each row of scores ``[B x n]``; return B column indices.

        The choice is made on the CPU, so that a seed gives the same tokens on every device.

        :raises NoNumbersError: the scores are not finite.
        """
        if self.temperature == 0:
            best, columns = scores.max(-1)
            if not all(map(math.isfinite, best.tolist())):
                raise NoNumbersError
            return columns.tolist()
        probabilities = scores.softmax(-1).cpu()
        try:
            rows = zip(probabilities, generators, strict=True)
            return [int(torch.multinomial(row, 1, generator=generator)) for row, generator in rows]
        except RuntimeError as error:  # torch has checked the values already; checking them before would cost time
            if probabilities.isfinite().all():
                raise
            raise NoNumbersError from error


SoundTokens = Callable[[list[int], OrpheusSampling, int, int], Generator[int, None, None]]
"""A function of a prompt, the sampling settings, the largest number of tokens and a seed. It yields sound tokens, each
in its slot, and at the end the end-of-speech token if it was sampled."""


def sample_frames(
    tokens: SoundTokens, layout: Layout, prompt: list[int], sampling: OrpheusSampling, runaway_tokens: int, seed: int
) -> Iterator[tuple[list[int], Ending | None]]:
    """Yield frames of 7 token ids as they are sampled; the last item has no tokens and says how the utterance ended.

    :param prompt: token ids up to start-of-speech.
    :param runaway_tokens: an utterance with more tokens than this cannot be a reading of the text.
    """
    frame: list[int] = []
    limit = max_tokens(sampling, runaway_tokens)
    with closing(tokens(prompt, sampling, limit, seed)) as stream:
        for token in stream:
            if token == layout.end_of_speech:
                yield [], Ending.END_TOKEN
                return
            frame.append(token)
            if len(frame) == SLOTS:
                yield frame, None
                frame = []
    yield [], Ending.RUNAWAY if limit < sampling.max_new_tokens // SLOTS * SLOTS else Ending.LIMIT


def max_tokens(sampling: OrpheusSampling, runaway_tokens: int) -> int:
    """Return the largest number of tokens of an utterance: whole frames, at least one frame."""
    return max(min(sampling.max_new_tokens, runaway_tokens) // SLOTS, 1) * SLOTS
