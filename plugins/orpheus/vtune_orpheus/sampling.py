"""How the next token is drawn, and frames of seven out of whoever draws."""

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
class Sampling:
    """How the next token is drawn. A temperature of 0 takes the likeliest."""

    temperature: float
    top_p: float
    repetition_penalty: float
    max_new_tokens: int

    @classmethod
    def of(cls, options: OrpheusOptions) -> Self:
        """Take what a voice was trained with, or whoever opened it has said instead."""
        return cls(options.temperature, options.top_p, options.repetition_penalty, options.max_new_tokens)

    def scores(self, logits: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
        """Return what is drawn from: the penalty, then transformers' own temperature and top-p.

        :param logits: float32 ``[B, n]`` of those tokens that may come, so top-p counts them alone; -inf where one may
            not.
        :param heard: bool ``[B, n]``: stands in the prompt, or was drawn.
        """
        penalty = self.repetition_penalty
        if penalty != 1.0:
            logits = torch.where(heard, torch.where(logits < 0, logits * penalty, logits / penalty), logits)
        if self.temperature > 0:
            logits = TemperatureLogitsWarper(self.temperature)(None, logits)
            if self.top_p < 1.0:
                logits = TopPLogitsWarper(self.top_p)(None, logits)
        return logits

    def pick(self, scores: torch.Tensor, generators: Sequence[torch.Generator]) -> list[int]:
        """Return which of the ``n`` it is in each row of scores ``[B, n]``.

        It is drawn on the CPU, so that a seed means the same on every device.

        :raises NoNumbersError: the scores are no numbers.
        """
        if self.temperature == 0:
            best, places = scores.max(-1)
            if not all(map(math.isfinite, best.tolist())):
                raise NoNumbersError
            return places.tolist()
        chances = scores.softmax(-1).cpu()
        try:
            return [int(torch.multinomial(row, 1, generator=one)) for row, one in zip(chances, generators, strict=True)]
        except RuntimeError as error:  # torch has looked already, so that looking here would cost time for nothing
            if chances.isfinite().all():
                raise
            raise NoNumbersError from error


Tokens = Callable[[list[int], Sampling, int, int], Generator[int, None, None]]
"""Takes a prompt, how to sample, how many tokens at most, and a seed; yields sound tokens, each in its slot, and last
the end of speech where it was drawn."""


def sample_frames(
    tokens: Tokens, layout: Layout, prompt: list[int], sampling: Sampling, runaway: int, seed: int
) -> Iterator[tuple[list[int], Ending | None]]:
    """Yield frames of 7 token ids as they are drawn; the last item is empty and says how the utterance ended.

    :param prompt: int64 ids up to start-of-speech.
    :param runaway: tokens after which no honest reading of the text goes on.
    """
    frame: list[int] = []
    most = most_tokens(sampling, runaway)
    with closing(tokens(prompt, sampling, most, seed)) as drawn:
        for token in drawn:
            if token == layout.end_of_speech:
                yield [], Ending.END_TOKEN
                return
            frame.append(token)
            if len(frame) == SLOTS:
                yield frame, None
                frame = []
    yield [], Ending.RUNAWAY if most < sampling.max_new_tokens // SLOTS * SLOTS else Ending.LIMIT


def most_tokens(sampling: Sampling, runaway: int) -> int:
    """Return how many tokens an utterance may have: whole frames, and at least one."""
    return max(min(sampling.max_new_tokens, runaway) // SLOTS, 1) * SLOTS
