"""Encoded clips on disk, keyed by content: Arrow shards that are complete or absent.

A shard is ``part-*.arrow`` with the features, and ``part-*.jsonl`` with one line for each clip that was tried, its
key, length, and the reason if the engine refused it. The ``.jsonl`` is renamed into place last, and marks the shard
as whole. Arrays of other than one axis are stored flat beside their shape.
"""

from __future__ import annotations

import json
import os
import secrets
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vtune.errors import DataError
from vtune.types import Features

KEY_LENGTH = 32
"""Characters of a key, at most."""

_SHAPE = "__shape"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One clip that was tried: its features, or the reason why there are none.

    :param again: the reason lies in circumstances (an unreadable file), so the next run tries once more.
    """

    key: str
    features: Features | None
    length: int
    reason: str | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Encoded:
    """Where the features of a key are, among all rows, or why there are none."""

    row: int
    length: int
    reason: str | None


class FeatureStore:
    """All shards of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def known(self) -> Known:
        """Return what was tried until now."""
        return Known(sorted(self._folder.glob("part-*.jsonl")))

    def write(self, attempts: Sequence[Attempt]) -> None:
        """Add one shard."""
        from datasets.arrow_writer import ArrowWriter

        name = f"part-{secrets.token_hex(8)}"
        arrow = self._folder / f"{name}.arrow"
        encoded = [attempt.features for attempt in attempts if attempt.features is not None]
        if encoded:
            writer = ArrowWriter(path=str(arrow))
            for features in encoded:
                writer.write(flatten(features))
            writer.finalize()
            with arrow.open("rb") as written:
                os.fsync(written.fileno())
        entries = [{"key": one.key, "length": one.length, "reason": one.reason, "again": one.again} for one in attempts]
        _write_listing(self._folder / f"{name}.jsonl", entries)

    def sweep(self) -> None:
        """Remove shards that a killed run left without a listing, or that lost their features; forget what to retry."""
        for arrow in self._folder.glob("part-*.arrow"):
            if not arrow.with_suffix(".jsonl").is_file():
                arrow.unlink()
        for aside in self._folder.glob(".*.partial"):
            aside.unlink()
        for listing in self._folder.glob("part-*.jsonl"):
            with listing.open(encoding="utf-8") as file:
                entries = [json.loads(line) for line in file]
            if any(not entry["reason"] for entry in entries) and not listing.with_suffix(".arrow").is_file():
                listing.unlink()
            elif any(entry["again"] for entry in entries):
                _write_listing(listing, [entry for entry in entries if not entry["again"]])

    def clear(self) -> None:
        """Forget everything that was encoded."""
        for part in self._folder.glob("part-*"):
            part.unlink()


class Known:
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


def _write_listing(path: Path, entries: Sequence[dict[str, Any]]) -> None:
    aside = path.with_name(f".{path.stem}.partial")
    with aside.open("w", encoding="utf-8") as file:
        for entry in entries:
            file.write(json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
