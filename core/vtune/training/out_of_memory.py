"""Say which settings need less memory after an out-of-memory error."""

from __future__ import annotations

import torch

from vtune.errors import TrainingError
from vtune.recipe import Recipe
from vtune.training.memory_estimate import savings


def advice(recipe: Recipe, lengths: list[int]) -> TrainingError:
    """Return an error that says how large the batch was and which settings need less memory, the mildest first.

    :param recipe: settled, see ``vtune.training.memory_estimate``.
    """
    batch = int(recipe.train.batch_size)
    longest = max(lengths, default=0)
    have = ""
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        have = f"; the GPU has {total / 2**30:.1f} GiB, {free / 2**30:.1f} free now"
    return TrainingError(
        f"out of memory with batches of {batch} clips of up to {longest:,} tokens "
        f"({batch * longest:,} a pass){have}. In this order, try: {'; '.join(savings(recipe))}"
    )
