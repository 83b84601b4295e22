"""Compare two ranks with one in cutting, transcribing and encoding.

    python benchmarks/ranks.py RECORDINGS --model tiny.en.pt --recipe recipes/quickstart.yaml

Each step is launched in turns with one process and with two (``accelerate launch``), with one thread and one recording
at a time in each. Starting and imports are not counted, loading a network is. The CPU time of the busiest rank is what
the step would take on idle cores. The files of both must be the same, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import in_a_line, machine
from processes import LAUNCHER

STEPS = ("prepare", "transcribe", "encode")
WORLD_SIZES = (1, 2)


def main() -> None:
    """Launch every step with one rank and with two, and print a table."""
    asked = arguments()
    if asked.step:
        work(asked)
        return
    print(in_a_line(machine("cpu", 1)))
    print("\n| step | ranks | s | against one | CPU s of each rank | busiest against one | load |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        for step in STEPS:
            made, first_times = [], None
            for world_size in WORLD_SIZES:
                out = Path(folder) / f"{step}{world_size}"
                if step == "transcribe":
                    shutil.copytree(Path(folder) / "prepare1", out)
                ranks = launched(step, world_size, out, asked)
                wall, worked = max(rank["seconds"] for rank in ranks), [rank["cpu"] for rank in ranks]
                first_times = first_times or (wall, max(worked))
                cpu = ", ".join(f"{seconds:.1f}" for seconds in worked)
                print(
                    f"| {step} | {world_size} | {wall:.1f} | {first_times[0] / wall:.2f} x | {cpu} | "
                    f"{first_times[1] / max(worked):.2f} x | {os.getloadavg()[0]:.1f} |",
                    flush=True,
                )
                made.append(contents(out))
            assert made[0] == made[1], f"{step}: two ranks made other files than one"


def launched(step: str, world_size: int, out: Path, asked: Any) -> list[dict[str, float]]:
    """Run one step, and return the figures of each rank."""
    command = [sys.executable, *((*LAUNCHER, str(world_size)) if world_size > 1 else ())]
    command += [__file__, str(asked.recordings), "--model", str(asked.model), "--recipe", str(asked.recipe)]
    with tempfile.TemporaryDirectory() as figures:
        command += ["--step", step, "--out", str(out), "--figures", figures]
        subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, stderr=subprocess.DEVNULL)
        paths = sorted(Path(figures).iterdir())
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def work(asked: Any) -> None:
    """Run as one of the launched ranks."""
    import torch

    import vtune.pipeline  # noqa: F401 # imports are not measured
    from vtune.runtime.distributed.ranks import joined

    torch.set_num_threads(1)
    with joined("cpu", None) as ranks:
        pool = ranks.pool
        pool.wait()
        started, before = time.perf_counter(), cpu_seconds()
        if asked.step == "encode":
            encode(asked, pool)
        else:
            pool.lead(lambda: prepare(asked, pool) if asked.step == "prepare" else transcribe(asked, pool))
        figures = {"seconds": time.perf_counter() - started, "cpu": cpu_seconds() - before}
        Path(asked.figures, str(pool.rank)).write_text(json.dumps(figures), encoding="utf-8")


def prepare(asked: Any, pool: Any) -> None:
    """Cut the recordings."""
    from vtune.ingest.prepare import CutSettings, prepare_folder
    from vtune.recipe import PrepareRecipe

    prepare_folder(asked.recordings, asked.out, CutSettings.from_recipe(PrepareRecipe(), 24_000), 1, pool)


def transcribe(asked: Any, pool: Any) -> None:
    """Transcribe the clips."""
    from vtune.ingest.transcribe import transcribe_folder
    from vtune.recipe.model import TranscribeRecipe

    transcribe_folder(asked.out, TranscribeRecipe(model=str(asked.model), device="cpu"), pool=pool)


def encode(asked: Any, pool: Any) -> None:
    """Encode the clips of a recipe."""
    import torch

    from vtune import dataset, load_engine, load_recipe
    from vtune.runtime.paths import RunFolder

    recipe = load_recipe(str(asked.recipe))
    engine = load_engine(recipe.engine)
    base = engine.load_base(recipe.engine_options, torch.device("cpu"), torch.float32)
    data = dataset.build_training_data(recipe, engine, base, RunFolder(asked.out), pool)
    if pool.is_main:
        (asked.out / "identity").write_text(data.identity, encoding="utf-8")


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its finished children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files; how features are spread over files depends on chance."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("part-")]
    here = str(folder).encode()
    return {str(path.relative_to(folder)): path.read_bytes().replace(here, b"") for path in files}


def arguments() -> Any:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="file of Whisper's weights")
    parser.add_argument("--recipe", type=Path, required=True, help="recipe whose clips are encoded")
    parser.add_argument("--folder", type=Path, help="folder for the temporary results")
    for name in ("step", "out", "figures"):
        parser.add_argument(f"--{name}", type=Path if name != "step" else str, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
