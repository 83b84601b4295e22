"""Draw the random numbers of a loss from the lots of a batch's rows.

Each row has a ``lot``, which vtune draws anew in each epoch of a training and keeps fixed in validation. What is drawn
here for a row depends on its lot alone: not on its neighbours, not on padding, and not on the random state of torch. So
the loss of a clip is the same in every batch, and the same after a resume.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

_LOT_STEPS = 2**53
"""A float64 in [0, 1) has this many equal steps."""


def uniform(lots: torch.Tensor, *shape: int, stream: int = 0) -> torch.Tensor:
    """Draw uniform numbers in [0, 1), float32 ``[B, *shape]`` on the device of the lots.

    :param lots: float64 ``[B]``, from the key ``lot`` of the rows.
    :param shape: of one row. A longer first axis leaves the numbers before it as they are, so let time be first.
    :param stream: 0 or more; another number gives independent draws, for a loss that needs several.
    """
    return _drawn(lots, lambda generator: generator.random(shape, dtype=np.float32), stream)


def normal(lots: torch.Tensor, *shape: int, stream: int = 0) -> torch.Tensor:
    """Draw normal numbers with mean 0 and variance 1; see ``uniform`` for the parameters.

    >>> lots = torch.tensor([0.25, 0.5], dtype=torch.float64)
    >>> torch.equal(normal(lots, 3, 80), normal(lots, 5, 80)[:, :3])  # padding changes nothing
    True
    """
    return _drawn(lots, lambda generator: generator.standard_normal(shape, dtype=np.float32), stream)


def _drawn(lots: torch.Tensor, draw: Callable[[np.random.Generator], np.ndarray], stream: int) -> torch.Tensor:
    import torch

    # NumPy draws number by number; torch draws blocks of 16, whose last one depends on the length.
    steps = [int(lot * _LOT_STEPS) for lot in lots.double().tolist()]
    rows = [draw(np.random.default_rng([step, stream])) for step in steps]
    return torch.from_numpy(np.stack(rows)).to(lots.device)
