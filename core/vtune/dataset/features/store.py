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

from vtune.dataset.features.index import FeatureIndex
from vtune.dataset.features.rows import flatten
from vtune.runtime.disk import writing
from vtune.runtime.paths import sweep, write_text
from vtune.types import Features


@dataclass(frozen=True, slots=True)
class EncodeResult:
    """One clip that was tried: its features, or the reason why there are none.

    :param again: the reason lies in circumstances (an unreadable file), so the next run tries once more.
    """

    key: str
    features: Features | None
    length: int
    reason: str | None = None
    again: bool = False


class FeatureStore:
    """All shards of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def known(self) -> FeatureIndex:
        """Return what was tried until now."""
        return FeatureIndex(sorted(self._folder.glob("part-*.jsonl")))

    def write(self, attempts: Sequence[EncodeResult]) -> None:
        """Add one shard."""
        from datasets.arrow_writer import ArrowWriter

        name = f"part-{secrets.token_hex(8)}"
        arrow = self._folder / f"{name}.arrow"
        encoded = [attempt.features for attempt in attempts if attempt.features is not None]
        entries = [{"key": one.key, "length": one.length, "reason": one.reason, "again": one.again} for one in attempts]
        try:
            with writing(self._folder):
                if encoded:
                    writer = ArrowWriter(path=str(arrow))
                    for features in encoded:
                        writer.write(flatten(features))
                    writer.finalize()
                    with arrow.open("rb") as written:
                        os.fsync(written.fileno())
                _write_listing(self._folder / f"{name}.jsonl", entries)
        except BaseException:
            arrow.unlink(missing_ok=True)
            raise

    def sweep(self) -> None:
        """Remove shards without a readable listing or without their features; forget what is to be tried again."""
        for arrow in self._folder.glob("part-*.arrow"):
            if not arrow.with_suffix(".jsonl").is_file():
                arrow.unlink()
        sweep(self._folder)
        for listing in self._folder.glob("part-*.jsonl"):
            try:
                entries = [json.loads(line) for line in listing.read_bytes().splitlines()]
                lost = any(not entry["reason"] for entry in entries) and not listing.with_suffix(".arrow").is_file()
                again = any(entry["again"] for entry in entries)
            except (ValueError, KeyError, TypeError):  # damaged, or of an older version: cheaper made anew than mended
                lost, again = True, False
            if lost:
                listing.unlink()
                listing.with_suffix(".arrow").unlink(missing_ok=True)
            elif again:
                _write_listing(listing, [entry for entry in entries if not entry["again"]])

    def clear(self) -> None:
        """Forget everything that was encoded."""
        for part in self._folder.glob("part-*"):
            part.unlink()


def _write_listing(path: Path, entries: Sequence[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(entry) + "\n" for entry in entries))
