"""Compare vtune's training loop for Orpheus with three other loops, on the same clips, in turns within one run.

    python benchmarks/training.py --clips 16 --repetitions 3 --dtype auto --out figures.json
    python benchmarks/training.py --shape 3b --device cuda --dtype bfloat16 --clips 64

- ``padded``: the loop of a popular guide: batch 1, each clip padded to 2048, logits at every position.
- ``official``: the official script: batch 1, and whole copies of embeddings and head are trained beside the adapter.
- ``stock``: transformers' Trainer, batches of 8 in random order, padded to the longest.
- ``vtune``: vtune's loop with vtune's network, batches of 8.

``--dtype auto`` leaves each loop with its default: vtune with ``precision: auto``, the others with float32, as
transformers does. All have a LoRA of rank 32 on all linear modules, AdamW, and one epoch. Clips are random tokens for 3
to 13 s, like those of a reader, with a prompt before them and no loss on it. The small shape has the proportions of the
published one: its head is 17 % of its body. ``processed`` counts the tokens that pass through the layers for each real
token.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from counting import default_dtype
from machine import in_a_line, machine
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

import vtune_orpheus
from vtune import LoraSettings, attach_lora
from vtune.dataset import TrainingData
from vtune.runtime.device import pick_precision, weights_dtype
from vtune.toolkit import packed_attention
from vtune.training.callbacks import ThroughputMeter
from vtune.training.parts import TrainingParts
from vtune.training.trained import Trained
from vtune.training.trainer import BatchFunctions, VoiceTrainer
from vtune_orpheus import network
from vtune_orpheus.training_rows import pad

SHAPES: dict[str, dict[str, Any]] = {
    "small": {
        "vocab_size": 4200, "hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 6,
        "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 64,
    },
    "3b": {
        "vocab_size": 156_940, "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28,
        "num_attention_heads": 24, "num_key_value_heads": 8, "head_dim": 128,
    },
}  # fmt: skip
TOKENS_PER_SECOND = 7 * 24_000 / 2048
PROMPT_TOKENS = 24
PADDED_TOKENS = 2048
Row = dict[str, np.ndarray]


class Arm:
    """One training loop with a network of the same seed; ``run`` returns the seconds of an epoch."""

    batch = 1
    lora = LoraSettings(rank=32, alpha=64)
    kind: Any = LlamaForCausalLM
    attention = "sdpa"
    optimizer = "adamw_torch"

    def __init__(self, config: LlamaConfig, device: str, dtype: str) -> None:
        torch.manual_seed(0)
        weights, self.precision = self.numbers(torch.device(device), dtype)
        config = LlamaConfig(**config.to_diff_dict())
        config._attn_implementation = self.attention
        with torch.device(device), default_dtype(weights):
            self.network = self.prepared(self.kind(config)).requires_grad_(False)
        presets = vtune_orpheus.engine_info().lora_targets
        self.model = attach_lora(self.network, self.lora, presets, task_type="CAUSAL_LM")
        self.device = device
        self.half = self.precision in ("bf16", "fp16")
        self.processed = 0
        self.network.model.layers[0].register_forward_pre_hook(self._count)

    def numbers(self, device: torch.device, dtype: str) -> tuple[torch.dtype, str]:
        """Return the dtype of the weights and the dtype of the products; ``mixed`` has wide weights."""
        weights = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(dtype, torch.float32)
        return weights, {"bfloat16": "bf16", "mixed": "bf16", "float16": "fp16"}.get(dtype, "fp32")

    def prepared(self, network: Any) -> Any:
        """Return the network as it is before it gets its adapter."""
        return network

    def _count(self, _: nn.Module, given: Sequence[torch.Tensor]) -> None:
        self.processed += given[0].shape[0] * given[0].shape[1]

    def collate(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Pad the clips of a batch to the longest."""
        return pad(rows, 0)

    def trainer(self, arguments: TrainingArguments, rows: list[Row]) -> Trainer:
        """Return the trainer."""
        return Trainer(model=self.model, args=arguments, train_dataset=rows, data_collator=self.collate)

    def arguments(self, folder: str, seed: int, **further: Any) -> TrainingArguments:
        """Return the arguments of a training of one epoch that saves and logs nothing."""
        return TrainingArguments(
            output_dir=folder, num_train_epochs=1, per_device_train_batch_size=self.batch, learning_rate=5e-5,
            optim=self.optimizer, bf16=self.precision == "bf16", fp16=self.precision == "fp16",
            use_cpu=self.device == "cpu", seed=seed, save_strategy="no", logging_strategy="no", report_to=[],
            disable_tqdm=True, remove_unused_columns=False, **further,
        )  # fmt: skip

    def run(self, rows: list[Row], seed: int) -> tuple[float, float]:
        """Train an epoch; return its seconds and its CPU seconds."""
        with tempfile.TemporaryDirectory() as folder:
            trainer = self.trainer(self.arguments(folder, seed), rows)
            trainer.remove_callback(transformers.PrinterCallback)
            started, worked = time.perf_counter(), time.process_time()
            trainer.train()
            if self.device == "cuda":
                torch.cuda.synchronize()
            return time.perf_counter() - started, time.process_time() - worked


class PaddedArm(Arm):
    """The loop of a popular guide: each clip padded to 2048."""

    def collate(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Pad every clip to 2048 tokens."""
        fill = {"input_ids": 0, "labels": -100}
        wide = {
            name: np.pad(rows[0][name], (0, PADDED_TOKENS - len(rows[0][name])), constant_values=fill[name])
            for name in fill
        }
        mask = np.arange(PADDED_TOKENS) < len(rows[0]["input_ids"])
        return {name: torch.from_numpy(row)[None] for name, row in {**wide, "attention_mask": mask.astype(int)}.items()}


class Official(Arm):
    """The official script: embeddings and head are trained in full."""

    lora = LoraSettings(rank=32, alpha=64, rslora=True, modules_to_save=("lm_head", "embed_tokens"))


class Stock(Arm):
    """transformers' Trainer with its defaults."""

    batch = 8


class Ours(Arm):
    """The training loop of ``vtune run``."""

    batch = 8
    kind = network.LlamaForCausalLM
    attention = packed_attention.ATTENTION_NAME

    def numbers(self, device: torch.device, dtype: str) -> tuple[torch.dtype, str]:
        """Return the dtypes that a recipe's ``precision`` stands for."""
        name = {"auto": "auto", "float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}[dtype]
        return weights_dtype(name, device, "lora"), pick_precision(name, device)

    def trainer(self, arguments: TrainingArguments, rows: list[Row]) -> Trainer:
        """Return vtune's trainer."""
        data: Any = SampledRows(rows)
        training = TrainingData(data, None, [1.0] * len(rows), [], None, {}, "")  # type: ignore[arg-type] # no ledger
        return VoiceTrainer(
            data=training, meter=ThroughputMeter(), evaluator=None,
            trained=Trained(self.model, TrainingParts(self.model, {}, torch.device(self.device), "")),
            batches=BatchFunctions(self.collate, "input_ids"), args=arguments,
        )  # fmt: skip


class SampledRows:
    """Rows by the index of vtune's sampler: a row and its position in the training."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, asked: tuple[int, int]) -> Row:
        return self._rows[asked[0]]


ARMS: dict[str, type[Arm]] = {"padded": PaddedArm, "official": Official, "stock": Stock, "vtune": Ours}


def main() -> None:
    """Run the loops in turns, print a table, write the results."""
    asked = arguments()
    torch.set_num_threads(asked.threads)
    config = LlamaConfig(**SHAPES[asked.shape], tie_word_embeddings=True, max_position_embeddings=4096)
    rows = made_clips(asked.clips, config.vocab_size, seed=0)
    arms = {name: ARMS[name](config, asked.device, asked.dtype) for name in asked.arms}
    losses = {name: first_loss(arm, rows) for name, arm in arms.items()}
    for arm in arms.values():
        arm.run(rows[:2], seed=0)  # what is only done once is done here
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    work: dict[str, list[float]] = {name: [] for name in arms}
    for repetition in range(asked.repetitions):
        for name, arm in arms.items():
            arm.processed = 0
            took, worked = arm.run(rows, seed=repetition)
            seconds[name].append(took)
            work[name].append(worked)
            print(f"repetition {repetition + 1}, {name}: {took:.1f} s, {worked:.1f} s of work", flush=True)
    real = sum(len(row["input_ids"]) for row in rows)
    figures = {
        name: {
            "seconds": seconds[name],
            "work": work[name],
            "tokens_per_second": real / statistics.median(seconds[name]),
            "precision": arm.precision,
            "processed": arm.processed / real,
            "first_loss": losses[name],
            "trainable": sum(p.numel() for p in arm.model.parameters() if p.requires_grad),
        }
        for name, arm in arms.items()
    }
    record = {
        "machine": machine(asked.device, asked.threads, shape=asked.shape, dtype=asked.dtype),
        "clips": len(rows),
        "tokens": real,
        "arms": figures,
    }
    say(record)
    if asked.out:
        asked.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def made_clips(count: int, vocabulary: int, seed: int) -> list[Row]:
    """Return random tokens with the lengths of real clips: 3 to 13 s, most of them about 6.5 s."""
    random = np.random.default_rng(seed)
    seconds = np.clip(random.lognormal(np.log(6.5), 0.35, count), 3, 13)
    rows = []
    for length in seconds:
        ids = random.integers(0, vocabulary, PROMPT_TOKENS + 7 * round(length * TOKENS_PER_SECOND / 7) + 2)
        labels = ids.copy()
        labels[:PROMPT_TOKENS] = -100
        rows.append({"input_ids": ids, "labels": labels})
    return rows


@torch.no_grad()
def first_loss(arm: Arm, rows: list[Row]) -> float:
    """Return the loss of the first eight clips before the training; it is the same for all loops."""
    batches = [arm.collate(rows[start : start + arm.batch]) for start in range(0, min(8, len(rows)), arm.batch)]
    count = sum(int((batch["labels"][:, 1:] != -100).sum()) for batch in batches)
    narrow = torch.float16 if arm.precision == "fp16" else torch.bfloat16
    with torch.autocast(arm.device, narrow, enabled=arm.half):
        return sum(
            float(arm.model(**{k: v.to(arm.device) for k, v in batch.items()}, num_items_in_batch=count)["loss"])
            for batch in batches
        )


def say(record: dict[str, Any]) -> None:
    """Print the results."""
    print(in_a_line(record["machine"]))
    print(f"{record['clips']} clips, {record['tokens']:,} tokens; losses before training: ", end="")
    print(", ".join(f"{name} {arm['first_loss']:.6f}" for name, arm in record["arms"].items()))
    columns = ("", "in", "tokens a second", "s an epoch, median (least to most)", "processor s", "processed", "trained")
    print(f"\n| {' | '.join(columns)} | vtune is |\n|{'---|' * (len(columns) + 1)}")
    ours = record["arms"].get("vtune")
    for name, arm in record["arms"].items():
        times = arm["seconds"]
        faster = f"{ours['tokens_per_second'] / arm['tokens_per_second']:.2f} x" if ours else ""
        cells = [
            name,
            arm["precision"],
            f"{arm['tokens_per_second']:,.0f}",
            f"{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})",
            f"{statistics.median(arm['work']):.1f}",
            f"{arm['processed']:.2f}",
            f"{arm['trainable'] / 1e6:.1f} M",
            faster,
        ]
        print(f"| {' | '.join(cells)} |")


def arguments() -> Any:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--shape", choices=list(SHAPES), default="small")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
