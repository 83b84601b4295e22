"""Measure what a plan costs with many rows: CPU seconds and peak memory of ``vtune plan``'s work, imports included.

    python benchmarks/planning.py [--rows 5000 50000 500000]

A table names as many recordings, of half a second and 4 KB each. Every plan runs in its own process: it reads every
row, the header and the hash of each row's recording, and looks for recordings that two rows name.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
import yaml

CLIP_SAMPLES = 4_000
"""Samples of a recording: 0.5 s at 8 kHz in 8 bits, so that each file takes one block of a disk."""

FOLDER_CLIPS = 1_000


def main() -> None:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[5_000, 50_000, 500_000])
    parser.add_argument("--folder", type=Path, help="folder for the temporary recordings")
    parser.add_argument("--recipe", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.recipe:
        plan(asked.recipe)
        return
    print("| rows | s | CPU s | CPU ms a row | peak MiB | load |\n|---|---|---|---|---|---|")
    for rows in asked.rows:
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            recipe = make_data(Path(folder), rows)
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, __file__, "--recipe", str(recipe)], check=True, capture_output=True, text=True
            )
            seconds = time.perf_counter() - started
        counted, cpu, peak = done.stdout.split()
        assert int(counted) == rows
        print(
            f"| {rows:,} | {seconds:.0f} | {float(cpu):.1f} | {1000 * float(cpu) / rows:.2f} | {peak} | "
            f"{os.getloadavg()[0]:.1f} |",
            flush=True,
        )


def make_data(folder: Path, rows: int) -> Path:
    """Write the recordings, the table and a recipe; return the recipe."""
    random = np.random.default_rng(0)
    with (folder / "transcripts.csv").open("w", encoding="utf-8") as table:
        table.write("filename,text\n")
        for row in range(rows):
            name = f"{row // FOLDER_CLIPS:04d}/c{row:07d}.wav"
            (folder / name).parent.mkdir(exist_ok=True)
            with wave.open(str(folder / name), "wb") as file:
                file.setparams((1, 1, 8_000, CLIP_SAMPLES, "NONE", ""))
                file.writeframes(random.bytes(CLIP_SAMPLES))
            table.write(f"{name},these are the words of row number {row}\n")
    recipe = folder / "recipe.yaml"
    settings = {"voice": "someone", "engine": "orpheus", "engine_options": {"base_model": "nano"}}
    recipe.write_text(
        yaml.safe_dump({**settings, "data": [{"source": str(folder), "speaker_folders": False}]}), encoding="utf-8"
    )
    return recipe


def plan(path: Path) -> None:
    """Plan one recipe; print the clips, the CPU seconds and the peak memory in MiB of this process."""
    from vtune import load_recipe
    from vtune.plan import make_plan

    totals = make_plan(load_recipe(path)).totals
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(sum(totals.clips.values()), usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024)


if __name__ == "__main__":
    main()
