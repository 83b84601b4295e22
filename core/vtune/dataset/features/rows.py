"""Encoded clips as rows: flatten features for Arrow, write them, restore them, and read them by row number."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vtune.errors import EngineError, listed
from vtune.types import Features

_SHAPE_SUFFIX = "__shape"

_ARROW_BATCH_BYTES = 16 << 20
"""Bytes of the features that are joined to one Arrow batch; a spectrogram of ten seconds has 2 MB."""


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


def write_rows(path: Path, features: Sequence[Features]) -> None:
    """Write clips as an Arrow file, one row for each, and flush it to the disk.

    Not by the writer of ``datasets``, which takes twice the processor time and drops a feature that the first clip does
    not have without a word.

    :raises EngineError: the clips do not have the same features.
    """
    import pyarrow as pa

    rows = [flatten(each) for each in features]
    names = list(rows[0])
    different = next((row for row in rows if row.keys() != rows[0].keys()), None)
    if different is not None:
        raise EngineError(
            f"returned {listed(_feature_names(names))} for one clip, and "
            f"{listed(_feature_names(different))} for another, or other numbers of axes; every clip must have the same "
            "features"
        )
    kinds = {name: np.result_type(*(row[name].dtype for row in rows)) for name in names}
    schema = pa.schema([(name, pa.list_(pa.from_numpy_dtype(kind))) for name, kind in kinds.items()])
    with path.open("wb") as file:
        with pa.ipc.new_stream(file, schema) as stream:
            for batch in _batches(rows):
                columns = [_column([row[name] for row in batch], kinds[name]) for name in names]
                stream.write_batch(pa.record_batch(columns, schema=schema))
        file.flush()
        os.fsync(file.fileno())


def bytes_of(features: Features) -> int:
    """Return the bytes of the features of a clip."""
    return sum(np.asarray(feature).nbytes for feature in features.values())


def _feature_names(columns: Sequence[str] | dict[str, Any]) -> list[str]:
    return [name for name in columns if not name.endswith(_SHAPE_SUFFIX)]


def _batches(rows: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch, size = list[dict[str, Any]](), 0
    for row in rows:
        batch.append(row)
        size += bytes_of(row)
        if size >= _ARROW_BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _column(arrays: Sequence[np.ndarray], kind: np.dtype[Any]) -> Any:
    import pyarrow as pa

    ends = np.cumsum([0, *(len(array) for array in arrays)])
    return pa.ListArray.from_arrays(
        pa.array(ends, pa.int32()), pa.array(np.concatenate(arrays).astype(kind, copy=False))
    )


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
