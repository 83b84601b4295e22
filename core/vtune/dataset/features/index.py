"""What a store of features holds at one moment, found by key."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vtune.dataset.features.rows import FeatureRows
from vtune.errors import DataError

KEY_LENGTH = 32
"""Characters of a key, at most."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Where the features of a key are, among all rows, or why there are none."""

    row: int
    length: int
    reason: str | None


class FeatureIndex:
    """The keys of a store at one moment, sorted in arrays: about a hundred bytes each, not a Python object."""

    def __init__(self, listings: Sequence[Path]) -> None:
        self._listings = listings
        self._starts = [0]
        keys, rows, lengths, reasons = bytearray(), array("q"), array("q"), array("q")
        for listing in listings:
            row = self._starts[-1]
            with listing.open("rb") as file:
                place = 0
                for line in file:
                    entry = json.loads(line)
                    refused = entry["reason"] is not None
                    keys += entry["key"].encode().ljust(KEY_LENGTH)
                    rows.append(-len(self._starts) if refused else row)
                    lengths.append(entry["length"])
                    reasons.append(place)
                    row += 0 if refused else 1
                    place += len(line)
            self._starts.append(row)
        unsorted = np.frombuffer(bytes(keys), dtype=f"S{KEY_LENGTH}")
        order = np.argsort(unsorted, kind="stable")
        self._keys = unsorted[order]
        self._rows, self._lengths, self._reasons = (np.asarray(kept)[order] for kept in (rows, lengths, reasons))

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: str) -> bool:
        return self._place(key) is not None

    def __getitem__(self, key: str) -> Encoded:
        place = self._place(key)
        if place is None:
            raise KeyError(key)
        row, length = int(self._rows[place]), int(self._lengths[place])
        return Encoded(row, length, None) if row >= 0 else Encoded(-1, length, self._reason(-row - 1, place))

    def select(self, rows: Sequence[int]) -> FeatureRows:
        """Open the features of some rows, in the order given, mapped into memory rather than read.

        :raises DataError: a file of the store is damaged.
        """
        from datasets import Dataset, concatenate_datasets

        wanted = np.asarray(rows, dtype=np.int64)
        shards = np.searchsorted(self._starts, wanted, side="right") - 1
        opened, moved, start = [], np.zeros(len(self._listings), dtype=np.int64), 0
        for shard in np.unique(shards).tolist():
            arrow = self._listings[shard].with_suffix(".arrow")
            try:
                opened.append(Dataset.from_file(str(arrow)))
            except (OSError, ValueError) as error:  # pyarrow's errors are both
                raise DataError(f"{arrow} is damaged; run once with encode.cache=false to encode anew") from error
            moved[shard] = start - self._starts[shard]
            start += len(opened[-1])
        return FeatureRows(concatenate_datasets(opened), wanted + moved[shards])

    def _place(self, key: str) -> int | None:
        wanted = np.bytes_(key)
        place = int(np.searchsorted(self._keys, wanted))
        return place if place < len(self._keys) and self._keys[place] == wanted else None

    def _reason(self, shard: int, place: int) -> str:
        with self._listings[shard].open("rb") as file:
            file.seek(int(self._reasons[place]))
            return str(json.loads(file.readline())["reason"])
