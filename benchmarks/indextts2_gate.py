"""Count what training needs at the exact shape of IndexTTS2's GPT, without the machine: operations and bytes.

    python benchmarks/indextts2_gate.py

The base is bf16; a LoRA of rank 16 on attention and MLP is float32, and so are its gradients and AdamW's moments.
Training keeps the GPT alone: the parts that encode are released before it, and the parts that speak are loaded after
it. Clips have 50 codes and 4 text tokens per second, as ``vtune plan`` counts them. Attention between tokens, about 6 %
of the operations at 10 s, is not counted. Dropout of attention is left out, because a CPU stores it and the kernels of
GPUs do not. ``padded, all logits`` is how others train: rows as long as the longest, and the logits of both heads at
every position.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import transformers
from counting import Found, count_step, default_dtype, say
from torch import nn

import vtune_indextts2
from vtune import LoraSettings, attach_lora
from vtune_indextts2.config import read_config
from vtune_indextts2.gpt import network
from vtune_indextts2.gpt.row_layout import make_row
from vtune_indextts2.memory_footprint import TEXT_TOKENS_PER_SECOND
from vtune_indextts2.training_rows import batch_rows

CONFIG = Path(__file__).with_name("indextts2.yaml")


@dataclass(frozen=True)
class PassCase:
    """One training step: clips of the given lengths in seconds."""

    seconds: tuple[float, ...]
    checkpointing: bool = True
    lean: bool = True

    def describe(self) -> str:
        """Return a short description."""
        way = "with" if self.checkpointing else "no"
        clips = f"{len(self.seconds)} x {self.seconds[0]:g} s" if len(set(self.seconds)) == 1 else "8 unequal clips"
        return f"bf16, {clips}, {way} checkpointing, {'ours' if self.lean else 'padded, all logits'}"


EIGHT, UNEQUAL = (10.0,) * 8, (3.0, 4.0, 5.0, 6.0, 6.5, 7.0, 9.0, 13.0)
CASES = (
    PassCase(EIGHT, lean=False),
    PassCase(EIGHT),
    PassCase(EIGHT, checkpointing=False, lean=False),
    PassCase(EIGHT, checkpointing=False),
    PassCase(UNEQUAL, lean=False),
    PassCase(UNEQUAL),
    PassCase((10.0,)),
)


class PaddedNetwork(network.SemanticGPT):
    """The network in the usual form, which pads each clip to the longest."""

    def forward(self, **batch: Any) -> dict[str, torch.Tensor]:
        """Compute the logits of every position."""
        embedded = self.embed(batch["input_ids"], batch["kinds"], batch["positions"])
        hidden = self.hidden_states(batch["conditioning"], embedded)
        text, codes = (
            nn.functional.cross_entropy(head(hidden).float().flatten(0, 1), batch[labels].flatten())
            for head, labels in ((self.text_head, "text_labels"), (self.mel_head, "labels"))
        )
        return {"loss": 0.2 * text + 0.8 * codes}


def main() -> None:
    """Print a table."""
    say(((case.describe(), measure(case)) for case in CASES), "LoRA r16")


def measure(case: PassCase, **shape: Any) -> Found:
    """Count one case.

    :param shape: settings that differ from the published ones.
    """
    config = read_config(CONFIG)
    settings = config.gpt.model_copy(update=shape)
    rows = [
        make_row(
            settings,
            np.full(round(seconds * TEXT_TOKENS_PER_SECOND), 2),
            np.zeros(round(seconds * config.codes_per_second), dtype=int),
        )
        for seconds in case.seconds
    ]
    laid = batch_rows([(torch.zeros(settings.prefix_latents, settings.model_dim), row) for row in rows])
    # What looks at values is told beforehand: they are those of a batch that has some.
    real = laid["attention_mask"] != 0
    spelt, spoken = (laid[name][real] != -100 for name in ("text_labels", "labels"))
    chosen_counts = [len(network.indices(mask)) for mask in (real, spelt, spoken)]

    def build() -> nn.Module:
        with default_dtype(torch.bfloat16):
            config = network.SemanticGPTConfig(settings=settings.model_dump(), dropout=0.1)
            model = (network.SemanticGPT if case.lean else PaddedNetwork)(config).requires_grad_(False)
        for block in model.gpt.h:
            block.attn.attn_dropout.p = 0.0
        presets = vtune_indextts2.engine_info().lora_targets
        return attach_lora(model, LoraSettings(rank=16, alpha=32, targets=("attention+mlp",)), presets)

    def batch() -> dict[str, torch.Tensor]:
        return {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in laid.items()}

    positions = sum(network.lengths(laid["attention_mask"])) + settings.prefix * len(rows)
    counts = iter(chosen_counts)

    def indices(_: torch.Tensor) -> torch.Tensor:
        return torch.arange(next(counts))

    with (
        mock.patch.object(network, "lengths", return_value=network.lengths(laid["attention_mask"])),
        mock.patch.object(network, "indices", indices),
        mock.patch.object(transformers.masking_utils, "find_packed_sequence_indices", return_value=None),
    ):
        return count_step(build, batch, positions, case.checkpointing, widened=not case.lean)


if __name__ == "__main__":
    main()
