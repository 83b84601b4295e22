"""Encoded clips on disk, keyed by content: Arrow shards that are complete or absent.

A shard is ``part-*.arrow`` with the features, and ``part-*.jsonl`` with one line for each clip that was tried, its
key, length, and the reason if the engine refused it. The ``.jsonl`` is renamed into place last, and marks the shard
as whole. Arrays of other than one axis are stored flat beside their shape.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vtune.types import Features

_SHAPE = "__shape"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Where the features of a key are, or why there are none."""

    shard: int
    row: int
    length: int
    reason: str | None


class FeatureStore:
    """All shards of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def known(self) -> dict[str, Encoded]:
        """Return every key that was tried."""
        found: dict[str, Encoded] = {}
        for shard, listing in enumerate(self._listings()):
            row = 0
            with listing.open(encoding="utf-8") as file:
                for line in file:
                    entry = json.loads(line)
                    reason = entry["reason"]
                    found[entry["key"]] = Encoded(shard, -1 if reason else row, entry["length"], reason)
                    row += 0 if reason else 1
        return found

    def select(self, where: Sequence[Encoded]) -> FeatureRows:
        """Open the features of some clips, in the order given, mapped into memory rather than read."""
        from datasets import Dataset, concatenate_datasets

        used = sorted({one.shard for one in where})
        listings = self._listings()
        opened = {shard: Dataset.from_file(str(listings[shard].with_suffix(".arrow"))) for shard in used}
        starts, start = {}, 0
        for shard in used:
            starts[shard] = start
            start += len(opened[shard])
        rows = concatenate_datasets(list(opened.values()))
        return FeatureRows(rows.select([starts[one.shard] + one.row for one in where]))

    def write(self, entries: Sequence[tuple[str, Features | None, int, str | None]]) -> None:
        """Add one shard of ``(key, features, length, reason)``; either is None."""
        from datasets.arrow_writer import ArrowWriter

        name = f"part-{secrets.token_hex(8)}"
        arrow, listing = self._folder / f"{name}.arrow", self._folder / f"{name}.jsonl"
        encoded = [features for _, features, _, _ in entries if features is not None]
        if encoded:
            writer = ArrowWriter(path=str(arrow))
            for features in encoded:
                writer.write(flatten(features))
            writer.finalize()
            with arrow.open("rb") as written:
                os.fsync(written.fileno())
        aside = self._folder / f".{name}.partial"
        with aside.open("w", encoding="utf-8") as file:
            for key, _, length, reason in entries:
                file.write(json.dumps({"key": key, "length": length, "reason": reason}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(listing)

    def sweep(self) -> None:
        """Remove shards that a killed run left without a listing."""
        for arrow in self._folder.glob("part-*.arrow"):
            if not arrow.with_suffix(".jsonl").is_file():
                arrow.unlink()
        for aside in self._folder.glob(".*.partial"):
            aside.unlink()

    def clear(self) -> None:
        """Forget everything that was encoded."""
        for part in self._folder.glob("part-*"):
            part.unlink()

    def _listings(self) -> list[Path]:
        return sorted(self._folder.glob("part-*.jsonl"))


class FeatureRows:
    """Encoded clips as a data set: row -> features."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows.with_format("numpy")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> Features:
        return restore(self._rows[int(row)])


def flatten(features: Features) -> dict[str, Any]:
    """Return a flat row that Arrow can hold; ``restore`` takes it back."""
    row: dict[str, Any] = {}
    for name, array in features.items():
        array = np.asarray(array)
        row[name] = array.reshape(-1)
        if array.ndim != 1:
            row[name + _SHAPE] = np.asarray(array.shape, dtype=np.int64)
    return row


def restore(row: dict[str, Any]) -> Features:
    """Undo ``flatten``."""
    shapes = {name.removesuffix(_SHAPE): shape for name, shape in row.items() if name.endswith(_SHAPE)}
    return {
        name: np.asarray(array).reshape(tuple(int(n) for n in shapes[name]) if name in shapes else -1)
        for name, array in row.items()
        if not name.endswith(_SHAPE)
    }
