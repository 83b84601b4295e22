"""Encoded clips as rows: features flat for Arrow and back, and a data set that gives them by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from vtune.types import Features

_SHAPE = "__shape"


class FeatureRows:
    """Encoded clips as a data set: row -> features."""

    def __init__(self, rows: Any, where: Any) -> None:
        self._rows = rows.with_format("numpy")
        self._where = where

    def __len__(self) -> int:
        return len(self._where)

    def __getitem__(self, row: int) -> Features:
        return restore(self._rows[int(self._where[row])])


def flatten(features: Features) -> dict[str, Any]:
    """Return a flat row that Arrow can hold; ``restore`` takes it back."""
    row: dict[str, Any] = {}
    for name, feature in features.items():
        row[name] = np.asarray(feature).reshape(-1)
        if np.ndim(feature) != 1:
            row[name + _SHAPE] = np.asarray(np.shape(feature), dtype=np.int64)
    return row


def restore(row: dict[str, Any]) -> Features:
    """Undo ``flatten``."""
    shapes = {name.removesuffix(_SHAPE): shape for name, shape in row.items() if name.endswith(_SHAPE)}
    return {
        name: np.asarray(flat).reshape(tuple(int(n) for n in shapes[name]) if name in shapes else -1)
        for name, flat in row.items()
        if not name.endswith(_SHAPE)
    }
