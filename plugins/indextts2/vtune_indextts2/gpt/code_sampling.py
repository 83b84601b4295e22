"""Choose the next code with transformers' logits processors, in upstream's order."""

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
class DecodingRules:
    """Rules for the codes of an utterance: at most ``limit`` codes, the first not ``stop``, none of ``never``.

    ``history`` holds the ids that the repetition penalty counts from the beginning.
    """

    stop: int
    limit: int
    history: Sequence[int] = ()
    never: Sequence[int] = ()


@dataclass(frozen=True)
class CodeSampling:
    """Settings of sampling, described in ``IndexTTS2Options``. A temperature of 0 always takes the most likely code."""

    temperature: float = 0.8
    top_k: int = 30
    top_p: float = 0.8
    repetition_penalty: float = 10.0
    penalty_history: Literal["codes", "upstream"] = "codes"
    mel_pos_offset: int = 0
    beams: int = 1
    length_penalty: float = 0.0

    @property
    def is_random(self) -> bool:
        """Whether codes are sampled at random."""
        return self.temperature > 0

    def processors(self, rules: DecodingRules) -> LogitsProcessorList:
        """Return the processors of scores ``[B x V]``: repetition penalty, rules, temperature, top-k, top-p."""
        chain: list[Any] = [SuppressTokensAtBeginLogitsProcessor([rules.stop], len(rules.history))]
        if self.repetition_penalty != 1.0:
            chain.append(RepetitionPenaltyLogitsProcessor(self.repetition_penalty))
        if rules.never:
            chain.append(SuppressTokensLogitsProcessor(list(rules.never)))
        if self.is_random:
            kept = 2 if self.beams > 1 else 1  # if a row could only stop, no row would be left to continue
            chain.append(TemperatureLogitsWarper(self.temperature))
            if self.top_k:
                chain.append(TopKLogitsWarper(self.top_k, min_tokens_to_keep=kept))
            if self.top_p < 1.0:
                chain.append(TopPLogitsWarper(self.top_p, min_tokens_to_keep=kept))
        return LogitsProcessorList(chain)

    def history(self, settings: GPTSettings, prompt: int) -> list[int]:
        """Return the ids that the penalty counts before the first code.

        Upstream's generator sees a row of ones and the start code instead of the ``prompt`` embeddings, so it always
        penalises code 1. The option ``penalty_history: upstream`` gives exactly upstream's codes.
        """
        return [1] * (prompt - 1) + [settings.start_mel_token] if self.penalty_history == "upstream" else []


def sample_code(scores: torch.Tensor, sampling: CodeSampling, generator: torch.Generator) -> int:
    """Choose one code from processed scores ``[1 x V]``. :raises NoNumbersError: a score is not finite."""
    if not sampling.is_random:
        best, code = scores[0].max(-1)
        if not math.isfinite(best):
            raise NoNumbersError
        return int(code)
    return int(sample_indices(scores.softmax(-1), 1, generator))


def sample_indices(probabilities: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Sample ``count`` indices on the CPU, so that a seed gives the same indices on every device.

    :raises NoNumbersError: a probability is not finite.
    """
    probabilities = probabilities.cpu()
    try:
        return torch.multinomial(probabilities, count, generator=generator)
    except RuntimeError as error:  # torch has checked the values already; checking them before would cost time
        if probabilities.isfinite().all():
            raise
        raise NoNumbersError from error
