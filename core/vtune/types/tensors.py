"""What training reads: the features of one clip, and a batch of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Features = dict[str, np.ndarray]
"""One encoded clip, one row of the data set: arrays of integers or floats by name, without padding.

A narrow type (int16, float16) saves disk; it comes back as int64 or float32.
"""

Batch = dict[str, "torch.Tensor"]
"""A collated batch: tensors ``[B, ...]`` on the CPU; labels to ignore are -100."""
