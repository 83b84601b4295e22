"""From prompts to sound tokens, one at a time: no token can come out that its slot does not hold."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from vtune import Ending
from vtune_orpheus.layout import SLOTS, Layout
from vtune_orpheus.steps import Steps, steps_of


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn; stored with the voice. A temperature of 0 takes the likeliest."""

    temperature: float
    top_p: float
    repetition_penalty: float
    max_new_tokens: int

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
        """
        if self.temperature == 0:
            return scores.argmax(-1).tolist()
        chances = scores.softmax(-1).cpu()
        return [int(torch.multinomial(row, 1, generator=one)) for row, one in zip(chances, generators, strict=True)]


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


def network_tokens(
    model: nn.Module, layout: Layout, prompt: list[int], sampling: Sampling, most: int, seed: int
) -> Generator[int, None, None]:
    """Draw tokens from a network of this process; see ``Tokens``."""
    with closing(draw(steps_of(model), layout, sampling, [Wanted(prompt, most, seed)])) as drawn:
        for _, token in drawn:
            yield token


@dataclass(frozen=True, slots=True)
class Wanted:
    """An utterance to be drawn: ``most`` tokens at most, whole frames."""

    prompt: list[int]
    most: int
    seed: int


@dataclass(slots=True)
class _Row:
    place: int
    most: int
    generator: torch.Generator
    spoken: int = 0


def draw(
    steps: Steps, layout: Layout, sampling: Sampling, wanted: Sequence[Wanted]
) -> Generator[tuple[int, int], None, None]:
    """Draw utterances side by side, as many as the network takes; each from a generator of its own, as it would alone.

    They are at the same slot of a frame, always: each begins with the first and ends behind the last. One that has
    ended makes room at once, and the next one begins with the next frame.

    :returns: the place of an utterance in ``wanted`` and its next token, which may be the end of speech.
    """
    waiting = iter(enumerate(wanted))
    rows: list[_Row] = []
    heard = torch.zeros(0, max(layout.audio_end, layout.end_of_speech + 1), dtype=torch.bool)  # (B, V)
    while True:
        for place, one in islice(waiting, steps.most - len(rows)):
            steps.add(one.prompt)
            rows.append(_Row(place, one.most, torch.Generator().manual_seed(one.seed)))
            known = torch.zeros(1, heard.shape[1], dtype=torch.bool)
            known[0, [token for token in one.prompt if token < known.shape[1]]] = True
            heard = torch.cat([heard, known])
        if not rows:
            return
        for slot in range(SLOTS):
            tokens = _next(steps, layout, sampling, slot, rows, heard)
            for row, token in zip(rows, tokens, strict=True):
                row.spoken += 1
                yield row.place, token
            going = [
                n for n, token in enumerate(tokens) if token != layout.end_of_speech and rows[n].spoken < rows[n].most
            ]
            if len(going) < len(rows):
                steps.keep(going)
                rows, heard, tokens = [rows[n] for n in going], heard[going], [tokens[n] for n in going]
            if not rows:
                break
            heard[range(len(rows)), tokens] = True
            steps.step(tokens)


def _next(
    steps: Steps, layout: Layout, sampling: Sampling, slot: int, rows: Sequence[_Row], heard: torch.Tensor
) -> list[int]:
    """Draw the next token of each row: of the slot's codes, or the end of speech where frames are whole."""
    codes, stop = range(*layout.slot_range(slot)), layout.end_of_speech
    logits, before = steps.logits(codes), heard[:, codes.start : codes.stop]
    if slot == 0:
        end = steps.logits(range(stop, stop + 1))
        end[[not layout.allowed(row.spoken)[1] for row in rows]] = float("-inf")
        logits, before = torch.cat([logits, end], 1), torch.cat([before, heard[:, stop : stop + 1]], 1)
    scores = sampling.scores(logits, before.to(logits.device))
    picked = sampling.pick(scores, [row.generator for row in rows])
    return [codes[one] if one < len(codes) else stop for one in picked]
