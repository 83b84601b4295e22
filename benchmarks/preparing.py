"""Measure cutting one recording, beyond the imports: CPU seconds and peak memory of a separate process.

    python benchmarks/preparing.py RECORDING [--vad] [--tool vtune | slicer2 | librosa]

``slicer2`` and ``librosa`` read the whole recording, as their own documentation shows, and write no clips.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path


def main() -> None:
    """Print one row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--tool", choices=["vtune", "slicer2", "librosa"], default="vtune")
    parser.add_argument("--vad", action="store_true")
    asked = parser.parse_args()
    work = {"vtune": lambda: by_vtune(asked.recording, vad=asked.vad), "slicer2": lambda: by_slicer2(asked.recording),
            "librosa": lambda: by_librosa(asked.recording)}[asked.tool]()  # fmt: skip
    before, began = peak(), cpu()
    seconds = work()
    name = f"{asked.tool}{' --vad' if asked.vad else ''}"
    print(f"| {name} | {seconds / 60:.0f} min | {before:.0f} MB | {peak() - before:.0f} MB | {cpu() - began:.1f} s |")


def by_vtune(path: Path, *, vad: bool) -> Callable[[], float]:
    """Run both passes of vtune, with resampling, levelling and writing."""
    import scipy.ndimage  # noqa: F401 # imported late by the limiter

    from vtune.ingest.prepare import CutSettings
    from vtune.ingest.prepare.cut_records import CutRecord
    from vtune.ingest.prepare.recording import prepare_recording
    from vtune.recipe import PrepareRecipe

    if vad:
        from silero_vad import load_silero_vad

        load_silero_vad()
    cutting = CutSettings.from_recipe(PrepareRecipe(vad=vad or "auto"), 24_000)

    def work() -> float:
        with tempfile.TemporaryDirectory() as out:
            return prepare_recording(CutRecord(str(path), "", "clip"), Path(out), cutting).seconds

    return work


def by_slicer2(path: Path) -> Callable[[], float]:
    """Run slicer2 as its documentation shows, with soundfile for reading."""
    import soundfile
    from src.slicer2 import Slicer  # its distribution is called audio-slicer

    def work() -> float:
        sound, rate = soundfile.read(path, dtype="float32")
        Slicer(rate, -34, 4000, 300, 10, 500).slice(sound)
        return len(sound) / rate

    return work


def by_librosa(path: Path) -> Callable[[], float]:
    """Run librosa's effects.split at 40 dB."""
    import librosa
    import numpy as np
    import soundfile

    librosa.effects.split(np.zeros(8000, dtype=np.float32), top_db=40)  # what is imported late

    def work() -> float:
        sound, rate = soundfile.read(path, dtype="float32")
        librosa.effects.split(sound, top_db=40)
        return len(sound) / rate

    return work


def peak() -> float:
    """Return the peak memory of this process in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu() -> float:
    """Return the CPU seconds of this process."""
    return sum(os.times()[:2])


if __name__ == "__main__":
    main()
