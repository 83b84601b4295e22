"""From one column for each symbol to one column for each step, as durations say."""

from __future__ import annotations

import torch


def expand(hidden: torch.Tensor, durations: torch.Tensor) -> torch.Tensor:
    """Repeat the columns of symbols as often as their durations say, ``[B x T x C]``, 0 at padding.

    Columns ``a, b`` with durations 1 and 2 become ``a, b, b``. T is the largest sum of durations of a row.

    :param hidden: ``[B x L x C]``.
    :param durations: steps of each symbol, int64 ``[B x L]``, 0 at padding.
    """
    owners = step_owners(durations)
    inside = (owners < durations.shape[1])[..., None].to(hidden.dtype)
    index = owners.clamp(max=durations.shape[1] - 1)[..., None].expand(-1, -1, hidden.shape[2])
    return hidden.gather(1, index) * inside


def step_owners(durations: torch.Tensor) -> torch.Tensor:
    """Return the number of the symbol that each step belongs to, int64 ``[B x T]``; L at padding.

    >>> step_owners(torch.tensor([[1, 2], [1, 0]]))
    tensor([[0, 1, 1],
            [0, 2, 2]])
    """
    ends = durations.cumsum(1)  # [B x L]
    steps = torch.arange(int(ends[:, -1].max()), device=durations.device)
    return torch.searchsorted(ends, steps.expand(len(ends), -1).contiguous(), right=True)
