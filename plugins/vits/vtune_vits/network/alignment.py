"""Find which phoneme each frame belongs to: the monotonic alignment search of Glow-TTS (Kim et al., 2020)."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray


def log_likelihoods(latents: torch.Tensor, means: torch.Tensor, log_scales: torch.Tensor) -> torch.Tensor:
    """Compute how well each frame fits each phoneme, float32 ``[B, T, L]``.

    :param latents: ``[B, C, T]``.
    :param means: of each phoneme's normal distribution, ``[B, C, L]``.
    :param log_scales: logarithms of its standard deviations, ``[B, C, L]``.
    """
    latents, means, log_scales = latents.float().transpose(1, 2), means.float(), log_scales.float()
    precision = torch.exp(-2 * log_scales)  # [B, C, L]
    constant = (-0.5 * math.log(2 * math.pi) - log_scales - 0.5 * means.square() * precision).sum(1, keepdim=True)
    return constant + latents @ (means * precision) - 0.5 * latents.square() @ precision


def search(scores: torch.Tensor, frames: torch.Tensor, phonemes: torch.Tensor) -> torch.Tensor:
    """Find the durations with the largest sum of scores, int64 ``[B, L]`` in frames on the device of the scores.

    Each phoneme of a row has at least one frame, in the order of the text; the durations of a row add up to its
    frames. Padding has a duration of 0. The search runs on the CPU, over all rows at once; only frames are a loop.

    >>> search(torch.tensor([[[0.0, -9.0], [-1.0, -2.0], [-9.0, 0.0]]]), torch.tensor([3]), torch.tensor([2]))
    tensor([[2, 1]])

    :param scores: of each frame with each phoneme, ``[B, T, L]``.
    :param frames: of each row, int64 ``[B]``.
    :param phonemes: of each row, int64 ``[B]``; at least 1 and at most its frames.
    :raises ValueError: a row has more phonemes than frames.
    """
    frame_counts, phoneme_counts = frames.cpu().numpy(), phonemes.cpu().numpy()
    short = np.flatnonzero((frame_counts < phoneme_counts) | (phoneme_counts < 1))
    if len(short):
        row = int(short[0])
        raise ValueError(
            f"row {row} of the batch has {frame_counts[row]} frames for {phoneme_counts[row]} phonemes; "
            "each phoneme needs a frame"
        )
    by_frame = np.ascontiguousarray(scores.detach().float().cpu().numpy().transpose(1, 0, 2))  # [T, B, L]
    durations = _trace_back(_moves(by_frame), frame_counts, phoneme_counts)
    return torch.from_numpy(durations).to(scores.device)


def phoneme_of_frame(durations: torch.Tensor, frame_count: int) -> torch.Tensor:
    """Return the index of each frame's phoneme, int64 ``[B, T]``; frames behind the last phoneme have the last index.

    >>> phoneme_of_frame(torch.tensor([[2, 1, 3]]), 6)
    tensor([[0, 0, 1, 2, 2, 2]])
    """
    ends = durations.cumsum(1).contiguous()
    frames = torch.arange(frame_count, device=durations.device).expand(len(durations), -1).contiguous()
    return torch.searchsorted(ends, frames, right=True).clamp(max=durations.shape[1] - 1)


def spread(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Repeat the values ``[B, C, L]`` of phonemes for their frames, ``[B, C, T]``.

    :param index: the phoneme of each frame, from ``phoneme_of_frame``.
    """
    return values.gather(2, index[:, None].expand(-1, values.shape[1], -1))


def _moves(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell whether the best path to each phoneme at each frame comes from the phoneme before it, ``[T, B, L]``.

    The best sum of scores up to a frame obeys ``best[t, l] = scores[t, l] + max(best[t - 1, l], best[t - 1, l - 1])``.
    """
    moves = np.zeros(scores.shape, dtype=np.bool_)
    best = np.full((scores.shape[1], scores.shape[2] + 1), -np.inf, dtype=np.float32)  # the first column has no phoneme
    best[:, 1] = scores[0, :, 0]
    for frame in range(1, len(scores)):
        stay, move = best[:, 1:], best[:, :-1]
        np.greater(move, stay, out=moves[frame])
        best[:, 1:] = np.maximum(stay, move) + scores[frame]
    return moves


def _trace_back(
    moves: NDArray[np.bool_], frame_counts: NDArray[np.int64], phoneme_counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Follow the best path from the last frame and phoneme of each row, int64 ``[B, L]`` frames for each phoneme."""
    frame_count, row_count, phoneme_count = moves.shape
    durations = np.zeros((row_count, phoneme_count), dtype=np.int64)
    rows, index = np.arange(row_count), phoneme_counts - 1
    for frame in range(frame_count - 1, -1, -1):
        inside = frame < frame_counts
        durations[rows, index] += inside
        index = index - (moves[frame, rows, index] & inside)
    return durations
