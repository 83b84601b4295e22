"""Memory does not grow with the number of clips: Python's own peak is compared for few and for many clips."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from vtune.dataset import FeatureStore, LedgerWriter, manifest_entries, open_sources, read_manifest
from vtune.dataset.features.manifest import write_manifest
from vtune.dataset.features.store import EncodeResult
from vtune.recipe import Recipe


def peak_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def write_table(path: Path, rows: int) -> None:
    with path.open("w") as file:
        for row in range(rows):
            file.write(json.dumps({"audio": f"c{row}.wav", "text": f"the words of row number {row}"}) + "\n")


@pytest.mark.slow
def test_a_survey_holds_no_rows(
    folder: Callable[..., Path], recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dictionary of all rows would take some hundred bytes for each row."""
    root = folder("c0.wav")
    for row in range(1, 2500):
        os.link(root / "c0.wav", root / f"c{row}.wav")
    # All names are one file; so that all are clips of their own, the digest is that of the name.
    monkeypatch.setattr(
        "vtune.dataset.sources.folder_source.clip_digest", lambda name: sha256(name.encode()).hexdigest()
    )
    loaded = recipe({"source": str(root), "table": "t.jsonl"})

    def work() -> None:
        listing = tmp_path / "manifest.jsonl"
        write_manifest(listing, manifest_entries(loaded, open_sources(loaded)))
        with LedgerWriter(tmp_path / "ledger.jsonl") as ledger:
            for item in read_manifest(listing):
                ledger.add(item, item.reason, 0, 1)
        assert ledger.totals.clips["train"] == (root / "t.jsonl").read_text().count("\n")

    peaks = []
    for rows in (200, 1100, 2500):  # the first warms up what is kept for ever
        write_table(root / "t.jsonl", rows)
        peaks.append(peak_of(work))
    assert (tmp_path / "manifest.jsonl").read_text().count("\n") == 2500
    assert (peaks[2] - peaks[1]) / 1400 < 20, f"{peaks} bytes: memory grows with the rows"


def test_what_is_known_costs_few_bytes_a_clip(tmp_path: Path) -> None:
    def attempts(first: int, count: int) -> list[EncodeResult]:
        return [EncodeResult(f"{number:032x}", None, 0, f"reason {number}") for number in range(first, first + count)]

    store = FeatureStore(tmp_path)
    store.write(attempts(0, 1000))
    few = peak_of(store.index)
    for first in range(1000, 21_000, 1000):
        store.write(attempts(first, 1000))
    many = peak_of(store.index)
    assert (many - few) / 20_000 < 250
    tracemalloc.start()
    known = store.index()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held / len(known) < 80


def test_a_long_json_list_is_not_held(
    folder: Callable[..., Path], recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    root = folder("a.wav")
    row = json.dumps({"audio": "lost.wav", "text": "words " * 200})
    peaks = []
    for rows in (10, 1000, 2000):  # the first rows are looked at before the table is read
        (root / "manifest.json").write_text("[" + ",\n".join([row] * rows) + "]")
        loaded = recipe(root)
        peaks.append(peak_of(lambda loaded=loaded: sum(1 for _ in open_sources(loaded)[0].rows())))
    assert peaks[2] - peaks[1] < 500_000, f"{peaks} bytes: 1.2 MB of list are held"
