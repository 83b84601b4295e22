"""The monotonic alignment search: against all alignments, and against its own pieces."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune_vits.network.alignment import log_likelihoods, phoneme_of_frame, search, spread


def best_by_trying_all(scores: np.ndarray) -> float:
    """Return the largest sum of scores over all durations of at least one frame, for scores ``[T, L]``."""
    frames, phonemes = scores.shape
    sums = []
    for cuts in itertools.combinations(range(1, frames), phonemes - 1):
        ends = [0, *cuts, frames]
        sums.append(sum(scores[ends[index] : ends[index + 1], index].sum() for index in range(phonemes)))
    return float(max(sums))


def score_of(scores: np.ndarray, durations: list[int]) -> float:
    index = np.repeat(np.arange(len(durations)), durations)
    return float(scores[np.arange(len(scores)), index].sum())


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_alignment_is_better(data: st.DataObject) -> None:
    """Scores are whole numbers, so that their sums are exact; many alignments are equally good."""
    sizes = data.draw(
        st.lists(st.integers(1, 8).flatmap(lambda t: st.tuples(st.just(t), st.integers(1, t))), min_size=1, max_size=3)
    )
    seed = data.draw(st.integers(0, 2**32 - 1))
    scores = np.random.default_rng(seed).integers(-9, 10, (len(sizes), 8, 8)).astype(np.float32)
    frames, phonemes = (torch.tensor(column) for column in zip(*sizes, strict=True))

    durations = search(torch.from_numpy(scores), frames, phonemes)

    for row, (frame_count, phoneme_count) in enumerate(sizes):
        own = durations[row].tolist()
        assert min(own[:phoneme_count]) >= 1
        assert sum(own) == frame_count
        assert not any(own[phoneme_count:])
        inside = scores[row, :frame_count, :phoneme_count]
        assert score_of(inside, own[:phoneme_count]) == best_by_trying_all(inside)


def test_scores_of_padding_count_for_nothing() -> None:
    scores = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 20, 6)).astype(np.float32))
    padded = torch.full((1, 25, 9), 1e9)
    padded[:, :20, :6] = scores

    alone, inside = (
        search(scores, torch.tensor([20]), torch.tensor([6])),
        search(padded, torch.tensor([20]), torch.tensor([6])),
    )

    assert inside.tolist() == [[*alone[0].tolist(), 0, 0, 0]]


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="row 1 of the batch has 2 frames for 3 phonemes"):
        search(torch.zeros(2, 4, 3), torch.tensor([3, 2]), torch.tensor([3, 3]))


def test_likelihoods_are_those_of_normal_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    latents, means, log_scales = (torch.randn(2, 5, count, generator=generator) for count in (7, 3, 3))
    normal = torch.distributions.Normal(means[:, :, None], log_scales[:, :, None].exp())

    expected = normal.log_prob(latents[..., None]).sum(1)  # [B, T, L]

    torch.testing.assert_close(log_likelihoods(latents, means, log_scales), expected, rtol=1e-4, atol=1e-4)


def test_values_of_phonemes_are_repeated_for_their_frames() -> None:
    index = phoneme_of_frame(torch.tensor([[2, 1, 0], [1, 1, 2]]), 4)

    assert index.tolist() == [[0, 0, 1, 2], [0, 1, 2, 2]]
    assert spread(torch.tensor([[[5.0, 6.0, 7.0]], [[1.0, 2.0, 3.0]]]), index).tolist() == [
        [[5, 5, 6, 7]],
        [[1, 2, 3, 3]],
    ]
