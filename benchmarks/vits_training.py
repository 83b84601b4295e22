"""Train a VITS voice with vtune and with Piper's own training code: same weights, same clips, same steps, in turns.

    python benchmarks/vits_training.py --environment piper_env --batch 4 --seconds 4 --rounds 5

Piper's package runs in an environment of its own, which the script makes (``benchmarks/vits_piper/environment.py``).
Both sides have Piper's network of quality "medium" with one set of random weights, its discriminators, and clips of
synthetic sound. The losses are compared first, without dropout and with the same noise. Then each side makes a step in
each round, so that both have the same share of a busy machine; CPU seconds do not count what other processes use.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import in_a_line, machine
from vits_piper.environment import piper_python

import vtune
import vtune_vits
from vtune_vits.base import VitsBase
from vtune_vits.options import VitsOptions
from vtune_vits.rows import collate
from vtune_vits.training import objective, step
from vtune_vits.training.losses import adversarial_loss, discriminator_loss, feature_loss

SYMBOLS = 60
SYMBOL_RATE = 25
"""Ids a second of speech, blanks included."""

GENERATOR_RATE, BETAS, EPSILON = 2e-4, (0.8, 0.99), 1e-9
"""Settings of the optimizer of the voice, Piper's own."""

SIDES = {
    "all weights, float32": {"is_lora": False, "is_half": False, "is_narrow": False},
    "all weights, bf16": {"is_lora": False, "is_half": True, "is_narrow": False},
    "LoRA, bf16": {"is_lora": True, "is_half": True, "is_narrow": False},
    "LoRA, bf16, new discriminators": {"is_lora": True, "is_half": True, "is_narrow": True},
}
"""What vtune trains, and how it multiplies: first what Piper does, then what recipes do by themselves. The last side is
a base in ONNX, which has no discriminators, so that narrow ones begin anew."""


@dataclass
class VtuneTraining:
    """One side: vtune's network, discriminators and step.

    :param is_lora: train adapters of the recipe's size instead of all weights.
    :param is_half: multiply in bf16, as ``precision: auto`` does on this CPU.
    :param is_narrow: train new discriminators of the default width instead of those of the base.
    """

    base: VitsBase
    is_lora: bool
    is_half: bool
    is_narrow: bool

    def __post_init__(self) -> None:
        if self.is_narrow:
            options = self.base.options.model_copy(update={"discriminators": "waveform"})
            files, self.base = self.base.files, VitsBase(options, self.base.device)
            self.base.__dict__["files"] = replace(files, read_discriminators=None)
        self.model: Any = self.base.new_network()
        if self.is_lora:
            self.model = vtune_vits.build_lora_model(self.base, vtune_vits.engine_info().lora)
        else:
            self.model.requires_grad_(True)
        self.parts = {name: part.module for name, part in step.training_parts(self.base, self.model).items()}
        self.parts[step.POSTERIOR_ENCODER].requires_grad_(True)
        learned = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        rates = dict.fromkeys(self.parts, step.DISCRIMINATOR_RATE)
        self.optimizers = {
            "main": torch.optim.AdamW(learned, GENERATOR_RATE, BETAS, EPSILON),
            **step.optimizers(self.parts, rates),
        }
        self.progress, self.epoch, self.step = 0.0, 0, 0

    def optimize(self, loss: torch.Tensor, optimizer: str = "main") -> None:
        """Let one optimizer learn, as ``vtune.training.training_step`` does."""
        chosen = self.optimizers[optimizer]
        tensors = [parameter for group in chosen.param_groups for parameter in group["params"]]
        chosen.zero_grad()
        with torch.autocast("cpu", enabled=False):
            torch.autograd.backward(loss.float(), inputs=tensors)
        chosen.step()

    def learn(self, batch: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Learn from a batch, and return the seconds that it took."""
        self.model.train()
        started, started_cpu = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", torch.bfloat16) if self.is_half else nullcontext():
            step.training_step(self.model, batch, self, step.LossWeights(self.base.options.adversarial_weight, 0))
        return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - started_cpu}


def longest_operations(side: VtuneTraining, batch: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Return the CPU seconds of the operations that take the longest in one step."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        side.learn(batch)
    events = sorted(profiler.key_averages(), key=lambda event: -event.self_cpu_time_total)
    return {event.key: event.self_cpu_time_total / 1e6 for event in events[:12]}


class PiperProcess:
    """The other side: Piper's training code in a process of its own."""

    def __init__(self, python: Path, folder: Path, threads: int) -> None:
        worker = Path(__file__).with_name("vits_piper") / "worker.py"
        command = [str(python), str(worker), str(folder), str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer."""
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        requests.write(json.dumps({"do": do, **request}) + "\n")
        requests.flush()
        answer: dict[str, Any] = json.loads(answers.readline() or "{}")
        if not answer:
            raise SystemExit(f"Piper's process ended at {do!r}")
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Print the losses and a table of the speeds."""
    asked = arguments()
    torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        piper = PiperProcess(piper_python(asked.environment), folder, asked.threads)
        try:
            piper.ask("save")
            clips = made_clips(asked.batch, asked.seconds, asked.rounds + 1)
            torch.save(clips, folder / "batches.pt")
            piper.ask("read_batches")
            base = opened_base(folder)
            batches = [our_batch(base, batch) for batch in clips]
            losses = compared_losses(base, batches[0], piper, folder)
            pairs, profiles = {}, {}
            for name in asked.sides or SIDES:  # one after the other: each has gigabytes of weights and optimizer
                side = VtuneTraining(base, **SIDES[name])
                pairs[name] = timed(side, piper, batches)
                if asked.profile:
                    profiles[name] = longest_operations(side, batches[0])
                del side
            if asked.profile:
                profiles["Piper"] = piper.ask("profile", batch=0)
        finally:
            piper.close()
    record = {"machine": machine("cpu", asked.threads, batch=asked.batch, seconds=asked.seconds), "losses": losses}
    print_figures(record, pairs, asked.batch)
    for name, operations in profiles.items():
        print(f"\n{name}: " + ", ".join(f"{operation} {seconds:.2f} s" for operation, seconds in operations.items()))
    if asked.out:
        asked.out.write_text(json.dumps({**record, "pairs": pairs, "profiles": profiles}, indent=1))


def timed(
    side: VtuneTraining, piper: PiperProcess, batches: list[dict[str, torch.Tensor]]
) -> list[dict[str, dict[str, float]]]:
    """Let Piper and one side learn from every batch in turns; the first batch warms both up and does not count."""
    pairs = [
        {"Piper": piper.ask("step", batch=number), "vtune": side.learn(batch)} for number, batch in enumerate(batches)
    ]
    return pairs[1:]


def compared_losses(
    base: VitsBase, batch: dict[str, torch.Tensor], piper: PiperProcess, folder: Path
) -> dict[str, tuple[float, float]]:
    """Return each loss of both sides before training, with the same noise; all clips of the batch have one length."""
    lots, channels = batch["lots"], base.settings.flow_size
    frames, symbols = int(batch["frames"].max()), batch["input_ids"].shape[1]
    posterior = vtune.toolkit.normal(lots, frames, channels, stream=objective._POSTERIOR_STREAM).transpose(1, 2)
    durations = vtune.toolkit.normal(lots, symbols, 2, stream=objective._DURATION_STREAM).transpose(1, 2)
    torch.save({"posterior": posterior, "durations": durations, "segments": lots.float()}, folder / "noise.pt")
    theirs = piper.ask("losses", batch=0)
    judge = step.discriminators(base).module
    with torch.no_grad():
        output = base.new_network().eval()(**batch)
        recorded, made = judge(output["recorded"]), judge(output["made"])
    ours = {name: float(total / count) for name, (total, count) in output["metrics"].items()}
    ours |= {
        "gen": float(adversarial_loss(made)),
        "fm": float(feature_loss(recorded, made)),
        "disc": float(discriminator_loss(recorded, made)),
        "dur": ours["duration"],
    }
    return {name: (theirs[name], ours[name]) for name in ("mel", "kl", "dur", "gen", "fm", "disc")}


def made_clips(count: int, seconds: float, batch_count: int) -> list[list[dict[str, torch.Tensor]]]:
    """Return batches of synthetic clips; those of the first batch have one length, others from half of it up."""
    random = np.random.default_rng(0)
    hop = 256
    batches = []
    for number in range(batch_count):
        clips = []
        for index in range(count):
            share = 1.0 if number == 0 else 1 - 0.5 * index / max(count - 1, 1)
            frames = int(seconds * share * 22_050) // hop
            time_axis = np.arange(frames * hop) / 22_050
            pitch = 100 + 80 * random.random() + 20 * np.sin(2 * np.pi * 3 * time_axis)
            phase = 2 * np.pi * np.cumsum(pitch) / 22_050
            voiced = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 20))
            sound = 0.1 * voiced * (1 + np.sin(2 * np.pi * 4 * time_axis)) + 0.01 * random.normal(size=frames * hop)
            ids = random.integers(1, SYMBOLS, int(seconds * share * SYMBOL_RATE) - index)
            clips.append({"samples": torch.from_numpy(sound.astype(np.float32)), "ids": torch.from_numpy(ids)})
        batches.append(clips)
    return batches


def opened_base(folder: Path) -> VitsBase:
    """Open Piper's checkpoint as a base of vtune."""
    config = {
        "audio": {"sample_rate": 22_050},
        "espeak": {"voice": "en-us"},
        "num_symbols": 256,
        "num_speakers": 1,
        "phoneme_id_map": {symbol: [number] for number, symbol in enumerate("_^$abcdefghijklmnopqrstuvwxyz")},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return VitsBase(VitsOptions(base_model=str(folder / "piper.ckpt")), torch.device("cpu"))


def our_batch(base: VitsBase, clips: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return a batch of clips as vtune's ``collate`` makes it, with samples that are not rounded to int16."""
    rows = [
        {
            "samples": np.zeros(len(clip["samples"]), np.int16),
            "input_ids": clip["ids"].numpy().astype(np.int32),
            "speaker": np.zeros(1, np.int32),
            "lot": np.float64((0.5 + index) / len(clips)),
        }
        for index, clip in enumerate(clips)
    ]
    samples = torch.nn.utils.rnn.pad_sequence([clip["samples"] for clip in clips], batch_first=True)
    return {**collate(base, rows), "samples": samples}


def print_figures(record: dict[str, Any], pairs: Mapping[str, list[dict[str, dict[str, float]]]], batch: int) -> None:
    """Print the machine, the losses and the speeds."""
    print(in_a_line(record["machine"]))
    print(f"peak memory of vtune's process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB\n")
    print("| Loss | Piper | vtune | difference |\n|---|---|---|---|")
    for name, (theirs, ours) in record["losses"].items():
        print(f"| {name} | {theirs:.6g} | {ours:.6g} | {abs(ours / theirs - 1):.1e} |")
    print("\n| vtune trains | CPU seconds a step: Piper, vtune | clips a CPU second | vtune is faster by |")
    print("|---|---|---|---|")
    for name, steps in pairs.items():
        theirs, ours = (statistics.median(pair[side]["cpu"] for pair in steps) for side in ("Piper", "vtune"))
        ratios = [pair["Piper"]["cpu"] / pair["vtune"]["cpu"] for pair in steps]
        spread = f"{statistics.median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| {name} | {theirs:.2f}, {ours:.2f} | {batch / theirs:.2f}, {batch / ours:.2f} | {spread} |")


def arguments() -> Any:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, default=Path("piper_environment"), help="made if it is not there")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the longest clip")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sides", nargs="*", choices=list(SIDES), help="what vtune trains; default: all in turn")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--profile", action="store_true", help="also print the operations that take the longest")
    parser.add_argument("--out", type=Path, help="file for the figures, in JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
