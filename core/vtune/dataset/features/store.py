"""Encoded clips on disk, keyed by content, in Arrow shards that are complete or absent.

A shard is ``part-*.arrow`` with the features, and ``part-*.jsonl`` with one line per clip that was encoded or refused:
its key, its length, and the reason if the engine refused it. The ``.jsonl`` file is renamed into place last, and marks
the shard as complete. An array with more or fewer axes than one is stored flat, together with its shape.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtune.dataset.features.index import FeatureIndex
from vtune.dataset.features.rows import write_rows
from vtune.runtime.disk import writing
from vtune.runtime.distributed.shared_files import await_files
from vtune.runtime.paths import sweep, write_text
from vtune.types import Features


@dataclass(frozen=True, slots=True)
class EncodeResult:
    """The result of encoding one clip: its features, or the reason why there are none.

    :param retry: the failure may be temporary (an unreadable file), so the next run encodes the clip again.
    """

    key: str
    features: Features | None
    length: int
    reason: str | None = None
    retry: bool = False


class FeatureStore:
    """The feature shards of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def index(self, shards: Iterable[str] | None = None) -> FeatureIndex:
        """Return an index of all clips that were encoded or refused until now.

        :param shards: names of the shards to look into, which other ranks may have written; default: all that are seen.
        :raises DataError: a shard that another rank has written does not appear in the folder.
        """
        if shards is None:
            return FeatureIndex(sorted(self.folder.glob("part-*.jsonl")))
        listings = [self.folder / f"{shard}.jsonl" for shard in sorted(shards)]
        await_files(listings)
        return FeatureIndex(listings)

    def shards(self) -> list[str]:
        """Return the names of all complete shards."""
        return [listing.stem for listing in self.folder.glob("part-*.jsonl")]

    def write(self, results: Sequence[EncodeResult]) -> str:
        """Write one shard, and return its name."""
        name = f"part-{secrets.token_hex(8)}"
        arrow = self.folder / f"{name}.arrow"
        encoded = [result.features for result in results if result.features is not None]
        entries = [
            {"key": result.key, "length": result.length, "reason": result.reason, "retry": result.retry}
            for result in results
        ]
        try:
            with writing(self.folder):
                if encoded:
                    write_rows(arrow, encoded)
                _write_listing(self.folder / f"{name}.jsonl", entries)
        except BaseException:
            arrow.unlink(missing_ok=True)
            raise
        return name

    def sweep(self) -> None:
        """Remove incomplete shards, and forget the clips that must be encoded again."""
        for arrow in self.folder.glob("part-*.arrow"):
            if not arrow.with_suffix(".jsonl").is_file():
                arrow.unlink()
        sweep(self.folder)
        for listing in self.folder.glob("part-*.jsonl"):
            try:
                entries = [json.loads(line) for line in listing.read_bytes().splitlines()]
                lost = any(not entry["reason"] for entry in entries) and not listing.with_suffix(".arrow").is_file()
                retry = any(entry["retry"] for entry in entries)
            except (ValueError, KeyError, TypeError):  # damaged or of an older version: encoding is cheaper than repair
                lost, retry = True, False
            if lost:
                listing.unlink()
                listing.with_suffix(".arrow").unlink(missing_ok=True)
            elif retry:
                _write_listing(listing, [entry for entry in entries if not entry["retry"]])

    def clear(self) -> None:
        """Remove all shards."""
        for part in self.folder.glob("part-*"):
            part.unlink()


def _write_listing(path: Path, entries: Sequence[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(entry) + "\n" for entry in entries))
