"""Encoded clips as rows: flatten features for Arrow, restore them, and read them by row number."""

from __future__ import annotations

from typing import Any

import numpy as np

from vtune.types import Features

_SHAPE_SUFFIX = "__shape"


class FeatureRows:
    """Encoded clips as a data set that maps a row number to features.

    :param rows: a ``datasets.Dataset`` of flat rows.
    :param row_numbers: for each row of this data set, its number in ``rows``.
    """

    def __init__(self, rows: Any, row_numbers: Any) -> None:
        self._rows = rows.with_format("numpy")
        self._row_numbers = row_numbers

    def __len__(self) -> int:
        return len(self._row_numbers)

    def __getitem__(self, row: int) -> Features:
        return restore(self._rows[int(self._row_numbers[row])])


def flatten(features: Features) -> dict[str, Any]:
    """Flatten each feature to one axis, as Arrow stores it, and note the shape of the others.

    Example: ``{"mel": float32 [80, 200]}`` becomes ``{"mel": float32 [16000], "mel__shape": int64 [2]}``.
    ``restore`` reverses this.
    """
    row: dict[str, Any] = {}
    for name, feature in features.items():
        row[name] = np.asarray(feature).reshape(-1)
        if np.ndim(feature) != 1:
            row[name + _SHAPE_SUFFIX] = np.asarray(np.shape(feature), dtype=np.int64)
    return row


def restore(row: dict[str, Any]) -> Features:
    """Return features with their original shapes from a row that ``flatten`` made."""
    shapes = {name.removesuffix(_SHAPE_SUFFIX): shape for name, shape in row.items() if name.endswith(_SHAPE_SUFFIX)}
    return {
        name: np.asarray(flat).reshape(tuple(int(size) for size in shapes[name]) if name in shapes else -1)
        for name, flat in row.items()
        if not name.endswith(_SHAPE_SUFFIX)
    }
