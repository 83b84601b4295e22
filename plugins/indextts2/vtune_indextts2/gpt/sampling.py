"""How the next code is chosen: transformers' own processors, in upstream's order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from vtune.errors import NoNumbersError
from vtune_indextts2.gpt.settings import GPTSettings


@dataclass(frozen=True)
class Rules:
    """What an utterance may hold: at most ``limit`` codes, the first not ``stop``, none of ``never``.

    ``history`` are the ids that the repetition penalty counts from the beginning.
    """

    stop: int
    limit: int
    history: Sequence[int] = ()
    never: Sequence[int] = ()


@dataclass(frozen=True)
class Sampling:
    """Settings of a draw; see ``IndexTTS2Options`` for what each does. A temperature of 0 takes the likeliest."""

    temperature: float = 0.8
    top_k: int = 30
    top_p: float = 0.8
    repetition_penalty: float = 10.0
    penalty_history: Literal["codes", "upstream"] = "codes"
    mel_pos_offset: int = 0
    beams: int = 1
    length_penalty: float = 0.0

    @property
    def draws(self) -> bool:
        """Whether chance has a part."""
        return self.temperature > 0

    def processors(self, rules: Rules) -> LogitsProcessorList:
        """Return what scores ``[B, V]`` go through: penalty over the history, rules, temperature, top-k, top-p."""
        chain: list[Any] = [SuppressTokensAtBeginLogitsProcessor([rules.stop], len(rules.history))]
        if self.repetition_penalty != 1.0:
            chain.append(RepetitionPenaltyLogitsProcessor(self.repetition_penalty))
        if rules.never:
            chain.append(SuppressTokensLogitsProcessor(list(rules.never)))
        if self.draws:
            kept = 2 if self.beams > 1 else 1  # a row that may only stop would leave nothing to go on from
            chain.append(TemperatureLogitsWarper(self.temperature))
            if self.top_k:
                chain.append(TopKLogitsWarper(self.top_k, min_tokens_to_keep=kept))
            if self.top_p < 1.0:
                chain.append(TopPLogitsWarper(self.top_p, min_tokens_to_keep=kept))
        return LogitsProcessorList(chain)

    def history(self, settings: GPTSettings, prompt: int) -> list[int]:
        """Return the ids that the penalty counts before the first code.

        Upstream hands its generator a row of ones and the start code in the place of the ``prompt`` embeddings, so
        code 1 is always penalised; as an option, for those who want its very codes.
        """
        return [1] * (prompt - 1) + [settings.start_mel_token] if self.penalty_history == "upstream" else []


def pick(scores: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """Choose one code from processed scores ``[1, V]``. :raises NoNumbersError: they are none."""
    if not sampling.draws:
        best, code = scores[0].max(-1)
        if not math.isfinite(best):
            raise NoNumbersError
        return int(code)
    return int(draw(scores.softmax(-1), 1, generator))


def draw(chances: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Draw ``count`` places; on the CPU, so that a seed means the same everywhere.

    :raises NoNumbersError: the chances are no numbers.
    """
    chances = chances.cpu()
    try:
        return torch.multinomial(chances, count, generator=generator)
    except RuntimeError as error:  # torch has looked already, so that looking here would cost time for nothing
        if chances.isfinite().all():
            raise
        raise NoNumbersError from error
