"""Beam search over codes, as transformers defines it: the best rows continue, and finished rows keep their score."""

from __future__ import annotations

import math

import torch

from vtune.errors import NoNumbersError
from vtune_indextts2.gpt.code_decoder import CodeDecoder
from vtune_indextts2.gpt.code_sampling import CodeSampling, DecodingRules, sample_indices

EXCLUDED_SCORE = -1e9
"""The score of a row that must not be chosen; it is finite so that sums stay finite."""


def search_codes(
    decoder: CodeDecoder, sampling: CodeSampling, rules: DecodingRules, seed: int
) -> tuple[list[int], bool]:
    """Generate codes with ``sampling.beams`` rows at the same time; see ``sample_codes`` for the result.

    A finished row has the score ``log p / length ** length_penalty``. Each step takes two candidates for each row
    (sampled, or the most likely), so that rows are left when some stop. Only the ``beams`` most likely candidates may
    stop, and the most likely of the others continue.
    """
    beams, start = sampling.beams, len(rules.history)
    generator = torch.Generator().manual_seed(seed)
    processors = sampling.processors(rules)
    device = decoder.logits().device
    ids = torch.tensor([rules.history] * beams, dtype=torch.long, device=device).view(beams, -1)  # [K x (H + n)]
    scores = torch.full((beams,), EXCLUDED_SCORE, device=device)
    scores[0] = 0.0  # all rows are the same at first
    best: tuple[float, list[int], bool] = (float("-inf"), [], False)
    finished: list[float] = []
    for length in range(1, rules.limit + 1):
        log_probs = processors(ids, decoder.logits().log_softmax(-1)) + scores[:, None]  # [K x V]
        values, candidates = _candidates(log_probs.flatten(), 2 * beams, sampling, generator)
        rows, codes = candidates // log_probs.shape[1], candidates % log_probs.shape[1]
        penalty = length**sampling.length_penalty
        for index in range(2 * beams):
            stopped = int(codes[index]) == rules.stop
            if not (stopped or length == rules.limit) or index >= beams:
                continue
            score = float(values[index]) / penalty
            finished = sorted([*finished, score], reverse=True)[:beams]
            if score > best[0]:
                row = ids[rows[index], start:].tolist()
                best = (score, row if stopped else [*row, int(codes[index])], stopped)
        continuing = (codes != rules.stop).nonzero()[:, 0][:beams]
        scores, rows, codes = values[continuing], rows[continuing], codes[continuing]
        if length == rules.limit or (len(finished) == beams and float(scores[0]) / penalty <= finished[-1]):
            break
        ids = torch.cat([ids[rows], codes[:, None]], dim=1)
        decoder.reorder(rows)
        decoder.advance(codes)
    return best[1], best[2]


def _candidates(
    log_probs: torch.Tensor, count: int, sampling: CodeSampling, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return values and indices of candidates, most likely first. :raises NoNumbersError: a value is not finite."""
    if not sampling.is_random:
        values, indices = log_probs.topk(count)
        if not math.isfinite(values[0]):
            raise NoNumbersError
        return values, indices
    indices = sample_indices(log_probs.softmax(-1), count, generator).to(log_probs.device)
    values, order = log_probs[indices].sort(descending=True)
    return values, indices[order]
