"""Beam search over codes, as transformers defines it: the best few rows go on, finished ones wait to be beaten."""

from __future__ import annotations

import math

import torch

from vtune.errors import NoNumbersError
from vtune_indextts2.gpt.decoding import Continuation
from vtune_indextts2.gpt.sampling import Rules, Sampling, draw

NEVER = -1e9
"""Score of a row that is not to be chosen, finite so that sums stay numbers."""


def search_codes(continuation: Continuation, sampling: Sampling, rules: Rules, seed: int) -> tuple[list[int], bool]:
    """Do what ``draw_codes`` does with ``sampling.beams`` rows at once; a finished row scores
    ``log p / length ** length_penalty``.

    Two candidates a row are taken at each step (drawn, or the likeliest), so that rows are left when some stop; only
    the likeliest ``beams`` of them may stop, and the likeliest of the others go on.
    """
    beams, start = sampling.beams, len(rules.history)
    generator = torch.Generator().manual_seed(seed)
    processors = sampling.processors(rules)
    device = continuation.logits().device
    said = torch.tensor([rules.history] * beams, dtype=torch.long, device=device).view(beams, -1)  # (K, H + n)
    scores = torch.full((beams,), NEVER, device=device)
    scores[0] = 0.0  # all rows are one at first
    best: tuple[float, list[int], bool] = (float("-inf"), [], False)
    finished: list[float] = []
    for length in range(1, rules.limit + 1):
        chances = processors(said, continuation.logits().log_softmax(-1)) + scores[:, None]  # (K, V)
        values, places = _candidates(chances.flatten(), 2 * beams, sampling, generator)
        rows, codes = places // chances.shape[1], places % chances.shape[1]
        penalty = length**sampling.length_penalty
        for place in range(2 * beams):
            stopped = int(codes[place]) == rules.stop
            if not (stopped or length == rules.limit) or place >= beams:
                continue
            score = float(values[place]) / penalty
            finished = sorted([*finished, score], reverse=True)[:beams]
            if score > best[0]:
                row = said[rows[place], start:].tolist()
                best = (score, row if stopped else [*row, int(codes[place])], stopped)
        going = (codes != rules.stop).nonzero()[:, 0][:beams]
        scores, rows, codes = values[going], rows[going], codes[going]
        if length == rules.limit or (len(finished) == beams and float(scores[0]) / penalty <= finished[-1]):
            break
        said = torch.cat([said[rows], codes[:, None]], dim=1)
        continuation.reorder(rows)
        continuation.advance(codes)
    return best[1], best[2]


def _candidates(
    chances: torch.Tensor, count: int, sampling: Sampling, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and places of candidates, the likeliest first. :raises NoNumbersError: the chances are no numbers."""
    if not sampling.draws:
        values, places = chances.topk(count)
        if not math.isfinite(values[0]):
            raise NoNumbersError
        return values, places
    drawn = draw(chances.softmax(-1), count, generator).to(chances.device)
    values, order = chances[drawn].sort(descending=True)
    return values, drawn[order]
