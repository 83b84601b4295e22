"""Run a whole voice at the published size with random weights, stage by stage: seconds and memory.

    python benchmarks/real_size.py --engine orpheus --folder /tmp/real
    python benchmarks/real_size.py --engine orpheus --layers 2 --folder /tmp/small
    python benchmarks/real_size.py --engine indextts2 --folder /tmp/indextts2
    python benchmarks/real_size.py --engine indextts2.5 --folder /tmp/indextts25

The script writes a checkpoint of the shape of Orpheus 3B (6.6 GB in bf16, tensor by tensor, with a SNAC of the
published widths); or one of IndexTTS-2 whose GPT has the published size and whose other parts are small; or one of
IndexTTS-2.5 whose `gpt.pth` (814.8 million numbers, 3.3 GB), codec, flow and vocabulary have the published sizes and
whose w2v-BERT and vocoder are small. With it, it writes six or eight clips. Then it does what a user does: `plan`,
`run` until the first of two steps is saved, `kill -9`, `run` again to the finished voice, `say`, `merge` and
`export`. Each stage has a row: seconds, peak resident memory of the process and its children, peak anonymous memory
(memory that is no mapped file, and so cannot be released when memory is short), the peak of anonymous memory with the
mapped pages of the checkpoint's files, what `vtune plan` says of the stage, and how far that is above the latter.

`--limit-gib` puts every process into a memory cgroup (version 1, as root); a process that needs more is killed.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import yaml
from machine import in_a_line, machine
from memory_samples import Sample, Sampler
from real_size_bases import BUILDERS

GIB = 2**30
CLIP_SECONDS = (3.0, 3.4, 3.8, 4.2, 4.6, 5.0)
SHORT_CLIP_SECONDS = (1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6)
"""Eight clips for two steps of IndexTTS-2.5."""

SAMPLE_SECONDS = 0.02
HEADER = """\
| Stage | Seconds | Resident GiB | Anonymous GiB | With the weights | Planned GiB | Plan |
|---|---|---|---|---|---|---|"""
STATEMENT = "I have the right to publish this voice"
STAGES = (
    ("encode", re.compile(r"\[1/3\]")),
    ("load", re.compile(r"\[2/3\]")),
    ("train", re.compile(r"Trainable parameters")),
    ("check", re.compile(r"Training is done")),
    ("speak and write", re.compile(r"\[3/3\]")),
)
"""Stages of `vtune run`, each with the log line that starts the stage."""

PLANNED_AS = {
    "run: encode": "encoding", "run: train": "training", "resumed: train": "resuming", "resumed: check": "checking",
    "resumed: speak and write": "speaking", "merge": "merging",
}  # fmt: skip
"""The plan's name of a measured stage."""


TO_A_DEVICE = """
import sys, torch
from transformers import core_model_loading
from vtune_orpheus.base import OrpheusBase
from vtune_orpheus.options import OrpheusOptions

def copy(tensor, device=None, dtype=None):
    return tensor[...].to(dtype).contiguous().clone().to(device)

core_model_loading._materialize_copy = copy
OrpheusBase(OrpheusOptions(base_model=sys.argv[1]), torch.device("meta"), torch.float16).new_network()
"""
"""Loads Orpheus as for a GPU that multiplies in fp16, such as a T4. Instead of a GPU, torch's `meta` device takes each
tensor after the host has read it, converted it and copied it once more, as the copy to a GPU does."""


@dataclass(frozen=True, slots=True)
class StageRow:
    """A stage with its seconds and its peak memory.

    :param needed: anonymous memory with the weights that stay in their file.
    """

    stage: str
    seconds: float
    resident: int
    anonymous: int
    needed: int

    def line(self, planned: Mapping[str, float]) -> str:
        """Return a row of a table.

        :param planned: GiB by the plan's names of stages.
        """
        measured = " | ".join(f"{size / GIB:.2f}" for size in (self.resident, self.anonymous, self.needed))
        plan = planned.get(PLANNED_AS.get(self.stage, ""))
        compared = f"{plan:.2f} | {100 * (plan * GIB / self.needed - 1):+.0f} %" if plan else "not counted |"
        return f"| {self.stage} | {self.seconds:.1f} | {measured} | {compared} |"


def main() -> None:
    """Print a table."""
    asked = arguments()
    asked.folder.mkdir(parents=True, exist_ok=True)
    print(in_a_line(machine("cpu", torch.get_num_threads(), engine=asked.engine, layers=asked.layers)), flush=True)
    base = asked.folder / "base"
    if not (base / "config.json").is_file() and not (base / "config.yaml").is_file():
        began = time.monotonic()
        base.mkdir(exist_ok=True)
        shape = {"num_hidden_layers": asked.layers, "vocab_size": asked.vocabulary}
        BUILDERS[asked.engine](base, **{name: size for name, size in shape.items() if size is not None})
        print(f"checkpoint: {sum(p.stat().st_size for p in base.rglob('*') if p.is_file()) / 1e9:.2f} GB, "
              f"{time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
    recipe = write_recipe(asked.folder, asked.engine, base)
    with limited(asked.limit_gib) as enter:
        planned: dict[str, float] = {}
        for row in stages(asked.folder, asked.engine, recipe, enter, planned):
            print(row.line(planned), flush=True)


def stages(
    folder: Path, engine: str, recipe: Path, enter: Callable[[], None], planned: dict[str, float]
) -> Iterator[StageRow]:
    """Run everything, and yield a row for each stage.

    :param planned: is filled with the GiB that `vtune plan` says for each of its stages.
    """
    voice = str(folder / "voices" / "real")

    base = folder / "base"

    def checkpoint_is_there() -> bool:
        return any((folder / "runs").glob("real/checkpoints/*/checkpoint-1/complete.json"))

    vtune = [sys.executable, "-m", "vtune_cli"]
    text = subprocess.run([*vtune, "plan", str(recipe)], capture_output=True, text=True, check=True).stdout
    print("".join(f"    {line}\n" for line in text.splitlines()), flush=True)
    planned.update(planned_gib(text))
    print(HEADER, flush=True)
    if engine == "orpheus":
        device = [sys.executable, "-c", TO_A_DEVICE, str(base)]
        yield from measured("load to a device (stand-in)", device, base, enter)
    if not checkpoint_is_there():
        yield from measured("run", [*vtune, "run", str(recipe)], base, enter, until=checkpoint_is_there)
    yield from measured("resumed", [*vtune, "run", str(recipe)], base, enter)
    yield from measured("say", [*vtune, "say", voice, "Hello.", "--out", str(folder / "hello.wav")], base, enter)
    for name, command in (
        ("merge", ["merge", voice]),
        ("export peft", ["export", voice, "--to", "peft"]),
        ("export merged", ["export", voice, "--to", "merged", "--dtype", "fp32"]),
    ):
        out = Path(tempfile.mkdtemp(dir=folder)) / "out"
        further = ["--without-consent", STATEMENT] if command[0] == "export" else []
        yield from measured(name, [*vtune, *command[:2], str(out), *command[2:], *further], base, enter)
        subprocess.run(["rm", "-rf", str(out.parent)], check=True)


def planned_gib(text: str) -> dict[str, float]:
    """Return the GiB of host memory of each stage that `vtune plan` prints.

    Example: `host  GiB of 23.4 (free): encoding 0.71, training 3.40: fits` gives two stages.
    """
    line = re.search(r"^host .*?\): (.*): ", text, re.M)
    return {name: float(size) for name, size in re.findall(r"([a-z][a-z ]*) (\d+\.\d+)", line[1] if line else "")}


def measured(
    name: str, command: list[str], base: Path, enter: Callable[[], None], until: Callable[[], bool] | None = None
) -> Iterator[StageRow]:
    """Run a command and yield its rows; a command that reports stages has one row for each stage.

    :param base: the folder of the checkpoint, whose mapped files count as weights.
    :param until: the process is killed as with `kill -9` when this returns true.
    """
    samples: list[Sample] = []
    marks = [(time.monotonic(), name)]
    lines: list[str] = []
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, preexec_fn=enter,
    )  # fmt: skip

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            marks.extend(
                (time.monotonic(), f"{name}: {stage}") for stage, sign in STAGES if sign.search(line) is not None
            )

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    killed, sampler = False, Sampler(process.pid, base)
    while process.poll() is None:
        samples.append(sampler.sample())
        if until is not None and until():
            os.killpg(process.pid, signal.SIGKILL)
            killed = True
            process.wait()
        time.sleep(SAMPLE_SECONDS)
    reader.join(timeout=5)
    ended = time.monotonic()
    if process.returncode and not killed:
        print("\n".join(lines[-30:]), flush=True)
        print(f"{name}: exit code {process.returncode}", flush=True)
    for (began, stage), (end, _) in zip(marks, [*marks[1:], (ended, "")], strict=True):
        own = [sample for sample in samples if began <= sample.time < end]
        if own:
            peaks = (max(getattr(sample, name) for sample in own) for name in ("resident", "anonymous", "needed"))
            yield StageRow(stage, end - began, *peaks)


@contextmanager
def limited(gib: float | None) -> Iterator[Callable[[], None]]:
    """Yield a function that a child process calls to put itself under the memory limit."""
    if gib is None:
        yield lambda: None
        return
    group = Path(f"/sys/fs/cgroup/memory/real-size-{os.getpid()}")
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(int(gib * GIB)))

    def enter() -> None:
        (group / "cgroup.procs").write_text(str(os.getpid()))

    try:
        yield enter
    finally:
        group.rmdir()


def write_recipe(folder: Path, engine: str, base: Path) -> Path:
    """Write the clips and a recipe with two steps, which saves a checkpoint after each."""
    clips = folder / "clips"
    if not clips.is_dir():
        clips.mkdir()
        with (clips / "transcripts.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["filename", "text"])
            for number, seconds in enumerate(SHORT_CLIP_SECONDS if engine == "indextts2.5" else CLIP_SECONDS):
                times = np.arange(int(seconds * 24_000)) / 24_000
                noise = np.random.default_rng(number).normal(0, 0.02, len(times))
                sound = 0.2 * np.sin(2 * np.pi * (150 + 20 * number) * times) + noise
                soundfile.write(clips / f"clip_{number}.wav", sound, 24_000)
                table.writerow([f"clip_{number}", f"this is sentence number {number} of a measurement"])
    speaking: dict[str, Any] = {
        "orpheus": {"max_new_tokens": 70},
        "indextts2": {"max_codes": 70, "normaliser": "basic"},
        "indextts2.5": {"max_codes": 20, "normaliser": "basic"},
    }.get(engine, {})
    batch = {"batch_size": 4, "gradient_accumulation": 1} if engine == "indextts2.5" else {}  # eight clips in two steps
    recipe = {
        "voice": "real",
        "engine": engine.removesuffix(".5"),
        "engine_options": {"base_model": str(base), **speaking},
        "data": [{"source": str(clips)}],
        "folders": {"runs": str(folder / "runs"), "voices": str(folder / "voices")},
        "train": {
            "max_steps": 2,
            "save_every": 1,
            "validation": 0,
            "warmup": 0,
            "log_every": 1,
            "learning_rate": 1e-4,
            **batch,
        },
        "evaluate": {
            "sentences": ["Hello."],
            "metrics": ["delivery", "speed"],
            "train_sentences": 1,
            "checkpoint_sentences": 0,
        },
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=sorted(BUILDERS), default="orpheus")
    parser.add_argument("--layers", type=int, help="number of layers; default: as published")
    parser.add_argument(
        "--vocabulary", type=int, help="size of Orpheus's vocabulary, at least 29,000; default: as published"
    )
    parser.add_argument("--folder", type=Path, required=True, help="folder for checkpoint, clips, runs and voices")
    parser.add_argument("--limit-gib", type=float, help="memory limit for each process and its children")
    return parser.parse_args()


if __name__ == "__main__":
    main()
