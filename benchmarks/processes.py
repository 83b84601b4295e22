"""Compare two processes with one: the same clips, the same global batch, one thread for each process.

    python benchmarks/processes.py --clips 32 --repetitions 3 --out figures.json

The processes are launched in turns by ``accelerate launch``, and train an epoch of what ``training.py`` calls
``vtune``. Starting and imports are not counted. ``busiest`` is the CPU time of the busiest process: the seconds that it
would take on idle cores if no process waited. The loss after the epoch shows that both have learned the same.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from machine import in_a_line, machine
from training import SHAPES, Ours, first_loss, made_clips
from transformers import LlamaConfig

from vtune.runtime.distributed.ranks import init_distributed, is_main_process

PROCESSES = (1, 2)

# ``--multi_gpu`` starts ranks without a GPU as well (gloo), where ``--cpu`` would silently start one process.
LAUNCHER = (
    "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--mixed_precision", "no",
    "--dynamo_backend", "no", "--main_process_port", "0", "--num_processes",
)  # fmt: skip


def main() -> None:
    """Launch the variants in turns, print a table, write the results."""
    asked = arguments()
    if asked.found:
        train(asked)
        return
    runs: dict[int, list[dict[str, float]]] = {processes: [] for processes in PROCESSES}
    for _ in range(asked.repetitions):
        for processes in PROCESSES:
            runs[processes].append(launched(processes, asked))
            print(f"{processes} process(es): {runs[processes][-1]}, load {os.getloadavg()[0]:.1f}", flush=True)
    record = {
        "machine": machine("cpu", 1, shape="small", dtype="float32"),
        "clips": asked.clips,
        "batch": asked.batch,
        "runs": runs,
    }
    print(in_a_line(record["machine"]))
    print(
        "\n| processes | s an epoch, median (least to most) | against one | busiest, s | against one | loss after it |"
    )
    print("|---|---|---|---|---|---|")
    for processes, measurements in runs.items():
        cells = [str(processes)]
        for name in ("seconds", "busiest"):
            times = [run[name] for run in measurements]
            median, single_process = statistics.median(times), statistics.median(run[name] for run in runs[1])
            cells += [f"{median:.2f} ({min(times):.2f} to {max(times):.2f})", f"{single_process / median:.2f} x"]
        print(f"| {' | '.join(cells)} | {measurements[0]['loss']:.5f} |")
    if asked.out:
        asked.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def launched(processes: int, asked: Any) -> dict[str, float]:
    """Train in the given number of processes."""
    with tempfile.TemporaryDirectory() as folder:
        result_path = Path(folder) / "found.json"
        command = [sys.executable, *((*LAUNCHER, str(processes)) if processes > 1 else ())]
        command += [__file__, "--found", str(result_path), "--clips", str(asked.clips), "--batch", str(asked.batch)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"}
        subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL if asked.quiet else None)
        result: dict[str, float] = json.loads(result_path.read_text(encoding="utf-8"))
        return result


def train(asked: Any) -> None:
    """Run as one of the launched processes."""
    torch.set_num_threads(1)
    state = init_distributed("cpu", None)
    config = LlamaConfig(**SHAPES["small"], tie_word_embeddings=True, max_position_embeddings=4096)
    rows = made_clips(asked.clips, config.vocab_size, seed=0)
    arm = Ours(config, "cpu", "float32")
    arm.batch = asked.batch // state.num_processes
    before = first_loss(arm, rows)
    arm.run(rows[: asked.batch], seed=0)  # what is only done once is done here
    state.wait_for_everyone()
    seconds, worked = arm.run(rows, seed=0)
    busiest = max(gather_object([worked]))
    if is_main_process():
        result = {"seconds": seconds, "busiest": busiest, "before": before, "loss": first_loss(arm, rows)}
        asked.found.write_text(json.dumps(result), encoding="utf-8")


def arguments() -> Any:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8, help="number of clips in a batch, over all processes")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--quiet", action="store_true", help="do not show the output of the processes")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--found", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
