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


def as_stored(features: Features) -> Features:
    """Return features as the store gives them back: narrow integers as int64, float16 as float32.

    Example: ``{"mel": float16 [80, 200]}`` becomes ``{"mel": float32 [80, 200]}``; float64 stays as it is.
    """
    return {name: _wide(np.asarray(array)) for name, array in features.items()}


def _wide(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "iu":
        return array.astype(np.int64, copy=False)
    return array.astype(np.float32) if array.dtype == np.float16 else array


Batch = dict[str, "torch.Tensor"]
"""A collated batch: tensors ``[B, ...]`` on the CPU; labels to ignore are -100."""
