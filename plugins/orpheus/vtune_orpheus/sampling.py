"""From a prompt to sound tokens, one at a time: no token can come out that its slot does not hold."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import (
    DynamicCache,
    LogitsProcessor,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from vtune import Ending
from vtune_orpheus.layout import SLOTS, Layout


class SlotProcessor(LogitsProcessor):  # type: ignore[misc] # transformers is not typed for us
    """Allows only the codes of the slot that comes next, and the end of speech where a frame is whole.

    :param prompt: how many of the ids that it is called with are the prompt.
    """

    def __init__(self, layout: Layout, prompt: int) -> None:
        self._layout = layout
        self._prompt = prompt

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Mask ``scores`` ``[B, V]`` for the place after ``input_ids`` ``[B, P + n]``."""
        codes, may_end = self._layout.allowed(input_ids.shape[1] - self._prompt)
        allowed = torch.full_like(scores, float("-inf"))
        allowed[:, codes.start : codes.stop] = scores[:, codes.start : codes.stop]
        if may_end:
            stop = self._layout.end_of_speech
            allowed[:, stop] = scores[:, stop]
        return allowed


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn; stored with the voice. A temperature of 0 takes the likeliest."""

    temperature: float
    top_p: float
    repetition_penalty: float
    max_new_tokens: int

    def processors(self, layout: Layout, prompt: int) -> LogitsProcessorList:
        """Return transformers' own processors around the slots'; the mask first, so top-p counts allowed tokens."""
        chain: list[Any] = [SlotProcessor(layout, prompt)]
        if self.repetition_penalty != 1.0:
            chain.append(RepetitionPenaltyLogitsProcessor(self.repetition_penalty))
        if self.temperature > 0:
            chain.append(TemperatureLogitsWarper(self.temperature))
        if self.temperature > 0 and self.top_p < 1.0:
            chain.append(TopPLogitsWarper(self.top_p))
        return LogitsProcessorList(chain)

    def pick(self, scores: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return one token of processed ``scores`` ``[1, V]`` as int64 ``[1, 1]`` on the CPU.

        It is drawn there, so that a seed means the same on every device.
        """
        if self.temperature == 0:
            return scores.argmax(-1, keepdim=True).cpu()
        return torch.multinomial(scores.softmax(-1).cpu(), 1, generator=generator)


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
    whole = sampling.max_new_tokens // SLOTS * SLOTS
    limit = min(whole, runaway // SLOTS * SLOTS)
    frame: list[int] = []
    with closing(tokens(prompt, sampling, max(limit, SLOTS), seed)) as drawn:
        for token in drawn:
            if token == layout.end_of_speech:
                yield [], Ending.END_TOKEN
                return
            frame.append(token)
            if len(frame) == SLOTS:
                yield frame, None
                frame = []
    yield [], Ending.RUNAWAY if limit < whole else Ending.LIMIT


def network_tokens(
    model: nn.Module, layout: Layout, prompt: list[int], sampling: Sampling, most: int, seed: int
) -> Generator[int, None, None]:
    """Draw tokens from a network of this process; see ``Tokens``."""
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    processors = sampling.processors(layout, len(prompt))
    ids = torch.tensor([prompt], device=device)  # (1, P + n)
    cache = DynamicCache()
    step = ids
    for _ in range(most):
        logits = model(input_ids=step, past_key_values=cache, use_cache=True, logits_to_keep=1)["logits"][:, -1]
        scores = processors(ids, logits.float())  # (1, V)
        drawn = sampling.pick(scores, generator)
        token = int(drawn)
        yield token
        if token == layout.end_of_speech:
            return
        step = drawn.to(device)
        ids = torch.cat([ids, step], dim=1)
