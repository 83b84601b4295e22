from __future__ import annotations

import torch

from vtune.toolkit.masks import length_mask


def test_a_row_is_true_as_far_as_it_is_long() -> None:
    assert length_mask(torch.tensor([1, 3, 0]), 3).tolist() == [[True, False, False], [True] * 3, [False] * 3]
