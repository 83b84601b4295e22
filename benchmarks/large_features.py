"""Measure the feature store with spectrograms against files of ``numpy.save`` that are mapped into memory.

    python benchmarks/large_features.py --clips 128 --repetitions 3 --out figures.json

Each clip is a linear spectrogram [513, 900] of ten seconds. Each shard and each file of NumPy is flushed to the
disk when it is written. Clips are read in random order, as in training, from the system's cache; every value is
touched and comes out as float32. Both take turns in one run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import in_a_line, machine

from vtune.dataset import FeatureStore
from vtune.dataset.features.encode import SHARD_BYTES
from vtune.dataset.features.store import EncodeResult

SHAPE = (513, 900)
WRITE, READ, DISK = "write, ms a clip", "read, ms a clip", "disk, MB a clip"


def main() -> None:
    """Measure both types in turns, print a table, write the results."""
    asked = arguments()
    taken: dict[str, list[dict[str, tuple[float, float]]]] = {"float32": [], "float16": []}
    for _ in range(asked.repetitions):
        for name, figures in taken.items():
            figures.append(measured(np.dtype(name), asked.clips, asked.folder))
    record: dict[str, Any] = {"machine": machine("cpu", 1), "clips": asked.clips, "figures": taken}
    record["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(in_a_line(record["machine"]))
    print("\n| stored as | | store | numpy | ratio, median (least to most) |\n|---|---|---|---|---|")
    for name, figures in taken.items():
        for what in (WRITE, READ, DISK):
            ours, numpy = (statistics.median(figure[what][arm] for figure in figures) for arm in (0, 1))
            ratios = sorted(figure[what][0] / figure[what][1] for figure in figures)
            shown = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            print(f"| {name} | {what} | {ours:.2f} | {numpy:.2f} | {shown} |")
    print(f"\npeak of memory: {record['peak MB']:.0f} MB")
    if asked.out:
        asked.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def measured(dtype: np.dtype[Any], clips: int, folder: Path | None) -> dict[str, tuple[float, float]]:
    """Return the figures of the store and of NumPy's files."""
    random = np.random.default_rng(0)
    spectrograms = [random.normal(size=SHAPE).astype(dtype) for _ in range(4)]
    with tempfile.TemporaryDirectory(dir=folder) as root:
        store, files = FeatureStore(Path(root, "store")), [Path(root, f"{clip}.npy") for clip in range(clips)]
        per_shard = max(1, SHARD_BYTES // spectrograms[0].nbytes)
        started = time.perf_counter()
        for first in range(0, clips, per_shard):
            numbers = range(first, min(first + per_shard, clips))
            store.write([EncodeResult(f"{clip:032x}", {"mel": spectrograms[clip % 4]}, SHAPE[1]) for clip in numbers])
        written = time.perf_counter() - started
        started = time.perf_counter()
        for clip, path in enumerate(files):
            with path.open("wb") as file:
                np.save(file, spectrograms[clip % 4])
                file.flush()
                os.fsync(file.fileno())
        saved = time.perf_counter() - started
        index = store.index()
        rows = index.select([index[f"{clip:032x}"].row for clip in range(clips)])
        order = random.permutation(clips).tolist()
        for _ in range(2):  # the first time warms the system's cache
            started = time.perf_counter()
            sums = [float(rows[clip]["mel"].sum()) for clip in order]
            read = time.perf_counter() - started
            started = time.perf_counter()
            expected = [float(np.load(files[clip], mmap_mode="r").astype(np.float32).sum()) for clip in order]
            loaded = time.perf_counter() - started
        assert sums == expected
        size = sum(path.stat().st_size for path in store.folder.iterdir())
        saved_size = sum(path.stat().st_size for path in files)
    return {
        WRITE: (1000 * written / clips, 1000 * saved / clips),
        READ: (1000 * read / clips, 1000 * loaded / clips),
        DISK: (size / clips / 1e6, saved_size / clips / 1e6),
    }


def arguments() -> Any:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=128)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="folder for the files; default: the system's temporary folder")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
