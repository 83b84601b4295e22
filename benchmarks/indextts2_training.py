"""Measure training steps of IndexTTS2's GPT with LoRA at its published size, random weights: time and memory.

    python benchmarks/indextts2_training.py --batch 2 --seconds 10 --steps 2

Clips are laid one behind the other, so that no work is done on padding. The alternative, which forks of the official
code train with, pads text and codes separately to the longest of the batch: the same loss, more positions. Both are
timed in one run on the same clips of unequal lengths.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vtune_indextts2
from vtune import LoraSettings, attach_lora
from vtune_indextts2.config import read_config
from vtune_indextts2.gpt.network import SemanticGPT, SemanticGPTConfig
from vtune_indextts2.gpt.row_layout import TokenRow, make_row
from vtune_indextts2.gpt.settings import GPTSettings
from vtune_indextts2.training_rows import batch_rows

GIB = 2**30


def main() -> None:
    """Print a table."""
    asked = arguments()
    settings = read_config(Path(__file__).with_name("indextts2.yaml")).gpt
    device = torch.device(asked.device)
    torch.manual_seed(0)
    started = time.perf_counter()
    with torch.device(device):
        network = SemanticGPT(SemanticGPTConfig(settings=settings.model_dump()))
    network = network.to(getattr(torch, asked.dtype)).requires_grad_(False)
    presets = vtune_indextts2.engine_info().lora_targets
    model = attach_lora(
        network, LoraSettings(rank=asked.rank, alpha=2 * asked.rank, targets=("attention+mlp",)), presets
    )
    count = sum(p.numel() for p in model.parameters())
    print(f"{count / 1e6:.1f} M parameters in {asked.dtype}, built in {time.perf_counter() - started:.0f} s; {device}")
    rows = made_rows(settings, asked.batch, asked.seconds)
    for checkpointing in (True, False)[: 1 if asked.only_checkpointing else 2]:
        if checkpointing:
            network.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        else:
            network.activation_checkpointing_disable()
        for name, batch in (("without gaps", batch_rows(rows)), ("padded blocks", padded(rows))):
            report(name, checkpointing, model, batch, asked, device)


def report(name: str, checkpointing: bool, model: Any, batch: Any, asked: Any, device: torch.device) -> None:
    """Time some steps, and return their time and memory."""
    batch = {key: tensor.to(device) for key, tensor in batch.items()}
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    took, loss = [], 0.0
    for _ in range(asked.steps + 1):
        began = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=asked.dtype == "bfloat16"):
            loss_tensor = model(**batch)["loss"]
        loss_tensor.backward()
        silent = sum(p.grad is None for p in parameters)
        optimizer.step()
        optimizer.zero_grad()
        loss = float(loss_tensor)
        took.append(time.perf_counter() - began)
    seconds = min(took[1:])  # the first step makes the optimizer's state
    positions = int(batch["attention_mask"].sum()) + 34 * len(batch["input_ids"])
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else 1024 * peak_kilobytes()
    print(
        f"{name:14s} checkpointing {'on ' if checkpointing else 'off'}: {seconds:6.2f} s a step, "
        f"{positions} positions, "
        f"{asked.batch * asked.seconds / seconds:6.2f} s of speech a second, loss {loss:.3f}, "
        f"{len(parameters)} adapter tensors, {silent} without a gradient, peak memory {peak / GIB:.2f} GiB"
    )


def peak_kilobytes() -> int:
    """Return the peak memory of this process; it never falls, so the smaller case comes first."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def made_rows(settings: GPTSettings, count: int, seconds: float) -> list[tuple[torch.Tensor, TokenRow]]:
    """Return rows of random codes and text, with lengths from ``seconds`` down to half of it."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(count):
        length = seconds * (1 - 0.5 * number / max(count - 1, 1))
        codes = random.integers(0, settings.start_mel_token, int(50 * length)).tolist()
        text = random.integers(3, settings.number_text_tokens, int(4 * seconds * random.uniform(0.5, 1))).tolist()
        conditioning = torch.from_numpy(random.normal(size=(32, settings.model_dim)).astype(np.float32))
        rows.append((conditioning, make_row(settings, text, codes)))
    return rows


def padded(rows: list[tuple[torch.Tensor, TokenRow]]) -> dict[str, torch.Tensor]:
    """Pad the text of each row to the longest text, and the codes to the longest codes."""
    longest = max(int((row.kinds == 1).sum()) for _, row in rows)
    gapped = []
    for conditioning, row in rows:
        spelt = int((row.kinds == 1).sum())

        def widened(values: np.ndarray, fill: int, spelt: int = spelt) -> np.ndarray:
            return np.concatenate([values[:spelt], np.full(longest - spelt, fill, dtype=np.int64), values[spelt:]])

        fields = (row.ids, row.kinds, row.positions, row.text_labels, row.labels)
        gapped.append((conditioning, TokenRow(*(widened(f, -100 if i > 2 else 0) for i, f in enumerate(fields)))))
    batch = batch_rows(gapped)
    return {**batch, "attention_mask": torch.ones_like(batch["attention_mask"])}


def arguments() -> Any:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the longest clip")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--only-checkpointing", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
