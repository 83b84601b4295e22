"""Train with Piper's own code, step by step as the parent process asks; runs in the environment of its own.

Each line of the input is a request in JSON, each line of the output an answer. The steps are those of Piper's
``training_step`` with Piper's networks, losses and optimizers; only Lightning's loop around them is not there.
"""

from __future__ import annotations

import json
import sys
import time
import types
from pathlib import Path
from typing import Any

import alignment
import torch

SEGMENT_SAMPLES, FFT_SIZE, HOP_LENGTH, SAMPLE_RATE = 8192, 1024, 256, 22_050


def use_alignment() -> None:
    """Give Piper the compiled search under the name that its package imports."""
    name = "piper.train.vits.monotonic_align.monotonic_align"
    package, core = types.ModuleType(name), types.ModuleType(f"{name}.core")
    package.__path__ = []  # type: ignore[attr-defined]
    core.maximum_path_c = alignment.maximum_path_c  # type: ignore[attr-defined]
    sys.modules[name], sys.modules[core.__name__] = package, core


class PiperTraining:
    """Piper's networks and optimizers, and the batches of the benchmark."""

    def __init__(self, folder: Path, threads: int) -> None:
        from piper.train.vits.lightning import VitsModel

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.folder = folder
        self.model: Any = VitsModel(mos_metric=None)
        with torch.no_grad():  # what begins as zeros would make losses and gradients that say nothing
            for parameter in self.model.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.02)
        optimizers, _ = self.model.configure_optimizers()
        self.model.optimizers = lambda: optimizers
        self.model.log = self.model.log_dict = lambda *_, **__: None
        self.model.manual_backward = lambda loss: loss.backward()
        self.batches: list[Any] = []

    def save(self) -> dict[str, Any]:
        """Write the weights as Piper's trainer does."""
        checkpoint = {
            "state_dict": self.model.state_dict(),
            "hyper_parameters": {**self.model.hparams, "dataset": None},
        }
        torch.save(checkpoint, self.folder / "piper.ckpt")
        return {"parameters": sum(parameter.numel() for parameter in self.model.parameters())}

    def read_batches(self) -> dict[str, Any]:
        """Read the clips, and compute their spectrograms, which Piper does once before its training."""
        from piper.train.vits.dataset import Batch
        from piper.train.vits.mel_processing import spectrogram_torch
        from torch.nn.utils.rnn import pad_sequence

        for clips in torch.load(self.folder / "batches.pt", weights_only=True):
            samples = [clip["samples"] for clip in clips]
            spectrograms = [
                spectrogram_torch(sound[None], FFT_SIZE, SAMPLE_RATE, HOP_LENGTH, FFT_SIZE)[0].T for sound in samples
            ]
            self.batches.append(
                Batch(
                    pad_sequence([clip["ids"] for clip in clips], batch_first=True),
                    torch.tensor([len(clip["ids"]) for clip in clips]),
                    pad_sequence(spectrograms, batch_first=True).transpose(1, 2).contiguous(),
                    torch.tensor([len(rows) for rows in spectrograms]),
                    pad_sequence(samples, batch_first=True)[:, None],
                    torch.tensor([len(sound) for sound in samples]),
                )
            )
        return {"batches": len(self.batches)}

    def losses(self, batch: int) -> dict[str, Any]:
        """Return the losses of a batch without dropout, with the noise and the segments that the parent has drawn."""
        noise = torch.load(self.folder / "noise.pt", weights_only=True)
        self.model.eval()
        drawn = torch.randn_like, torch.randn, torch.rand
        torch.randn_like = lambda values: noise["posterior"].to(values)  # type: ignore[assignment]
        torch.randn = lambda *_, **__: noise["durations"]  # type: ignore[assignment]
        torch.rand = lambda *_, **__: noise["segments"]  # type: ignore[assignment]
        try:
            with torch.no_grad():
                _, _, metrics = self.model._compute_loss(self.batches[batch])
        finally:
            torch.randn_like, torch.randn, torch.rand = drawn
            self.model.train()
        return {name: float(value) for name, value in metrics.items()}

    def step(self, batch: int) -> dict[str, Any]:
        """Learn from a batch."""
        self.model.train()
        started, started_cpu = time.perf_counter(), time.process_time()
        self.model.training_step(self.batches[batch], 0)
        return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - started_cpu}

    def profile(self, batch: int) -> dict[str, Any]:
        """Return the CPU seconds of the operations that take the longest in one step."""
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            self.model.training_step(self.batches[batch], 0)
        events = sorted(profiler.key_averages(), key=lambda event: -event.self_cpu_time_total)
        return {event.key: event.self_cpu_time_total / 1e6 for event in events[:12]}


def main() -> None:
    """Answer requests until the input ends."""
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    answers, sys.stdout = sys.stdout, sys.stderr  # what Piper prints is no answer
    use_alignment()
    training = PiperTraining(folder, threads)
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(training, request.pop("do"))(**request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
