"""Find features in a store by key."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vtune.dataset.features.rows import FeatureRows
from vtune.errors import DataError

KEY_CHARACTERS = 32
"""Largest number of characters of a key."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """The row of one key's features, or the reason why there are none.

    :param row: row among all rows of the store; -1 if there are no features.
    :param length: number of tokens (or frames) of the features.
    :param reason: why the clip has no features; None if it has some.
    """

    row: int
    length: int
    reason: str | None


class FeatureIndex:
    """All keys of a feature store when the index was opened, in sorted arrays: about 100 bytes per key."""

    def __init__(self, listings: Sequence[Path]) -> None:
        self._listings = listings
        self._starts = [0]
        keys, rows, lengths, offsets = bytearray(), array("q"), array("q"), array("q")
        for listing in listings:
            row = self._starts[-1]
            with listing.open("rb") as file:
                offset = 0
                for line in file:
                    entry = json.loads(line)
                    refused = entry["reason"] is not None
                    keys += entry["key"].encode().ljust(KEY_CHARACTERS)
                    rows.append(-len(self._starts) if refused else row)
                    lengths.append(entry["length"])
                    offsets.append(offset)
                    row += 0 if refused else 1
                    offset += len(line)
            self._starts.append(row)
        unsorted = np.frombuffer(bytes(keys), dtype=f"S{KEY_CHARACTERS}")
        order = np.argsort(unsorted, kind="stable")
        self._keys = unsorted[order]
        columns = (np.asarray(column)[order] for column in (rows, lengths, offsets))
        self._rows, self._lengths, self._line_offsets = columns

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: str) -> bool:
        return self._position(key) is not None

    def __getitem__(self, key: str) -> IndexEntry:
        position = self._position(key)
        if position is None:
            raise KeyError(key)
        row, length = int(self._rows[position]), int(self._lengths[position])
        return IndexEntry(row, length, None) if row >= 0 else IndexEntry(-1, length, self._reason(-row - 1, position))

    def select(self, rows: Sequence[int]) -> FeatureRows:
        """Open the features of some rows, in the order given. The files are mapped into memory, not read.

        :raises DataError: a file of the store is damaged.
        """
        from datasets import Dataset, concatenate_datasets

        row_numbers = np.asarray(rows, dtype=np.int64)
        shards = np.searchsorted(self._starts, row_numbers, side="right") - 1
        opened, row_shifts, start = [], np.zeros(len(self._listings), dtype=np.int64), 0
        for shard in np.unique(shards).tolist():
            arrow = self._listings[shard].with_suffix(".arrow")
            try:
                opened.append(Dataset.from_file(str(arrow)))
            except (OSError, ValueError) as error:  # pyarrow's errors are both
                raise DataError(f"{arrow} is damaged; run once with encode.cache=false to encode anew") from error
            row_shifts[shard] = start - self._starts[shard]
            start += len(opened[-1])
        return FeatureRows(concatenate_datasets(opened), row_numbers + row_shifts[shards])

    def _position(self, key: str) -> int | None:
        wanted_key = np.bytes_(key)
        position = int(np.searchsorted(self._keys, wanted_key))
        return position if position < len(self._keys) and self._keys[position] == wanted_key else None

    def _reason(self, shard: int, position: int) -> str:
        with self._listings[shard].open("rb") as file:
            file.seek(int(self._line_offsets[position]))
            return str(json.loads(file.readline())["reason"])
