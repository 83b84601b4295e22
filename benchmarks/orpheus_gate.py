"""Count what training needs at the exact shape of Orpheus 3B, without the machine: operations and bytes.

    python benchmarks/orpheus_gate.py

Attention between tokens, about 2 % of the operations at the length of clips, is not counted; ``counting`` describes the
method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
import transformers
from counting import Found, count_step, default_dtype, say
from torch import nn

import vtune_orpheus
from vtune import LoraSettings, attach_lora
from vtune.toolkit import packed_attention
from vtune_orpheus import loss, network

SHAPE: dict[str, Any] = {
    "vocab_size": 156_940,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "tie_word_embeddings": True,
    "max_position_embeddings": 131_072,
}

END_OF_SPEECH, SOUND = 128_258, range(128_266, 156_938)


@dataclass(frozen=True)
class Case:
    """One training step: ``rows`` x ``length`` tokens, all of them real and labelled.

    ``wide``: weights in float32, as on a CPU.
    """

    rows: int
    length: int
    checkpointing: bool = True
    lean: bool = True
    four_bit: bool = False
    sound: bool = False
    wide: bool = False

    def describe(self) -> str:
        """Return a short description."""
        return (
            f"{'4 bit' if self.four_bit else 'float32' if self.wide else 'bf16'}, {self.rows} x {self.length}, "
            f"{'with' if self.checkpointing else 'no'} checkpointing, {'ours' if self.lean else 'full logits'}"
            f"{', loss among sound' if self.sound else ''}"
        )


CASES = (
    Case(1, 1024, checkpointing=False, lean=False),
    Case(1, 1024, checkpointing=False),
    Case(1, 1024, checkpointing=False, sound=True),
    Case(1, 2048, lean=False),
    Case(1, 2048),
    Case(8, 1024, lean=False),
    Case(8, 1024),
    Case(1, 2048, four_bit=True),
    Case(2, 2048, four_bit=True),
    Case(1, 434, checkpointing=False, wide=True),
    Case(1, 1024, checkpointing=False, wide=True),
    Case(1, 1024, wide=True),
)


def main() -> None:
    """Print a table."""
    say(((case.describe(), measure(case)) for case in CASES), "LoRA r32")


def measure(case: Case, **shape: int) -> Found:
    """Count one case.

    :param shape: what is to differ from ``SHAPE``.
    """
    kind = network.LlamaForCausalLM if case.lean else transformers.LlamaForCausalLM
    config = transformers.LlamaConfig(**{**SHAPE, **shape})
    config._attn_implementation = packed_attention.ATTENTION_NAME if case.lean else "sdpa"

    def build() -> nn.Module:
        with default_dtype(torch.float32 if case.wide else torch.bfloat16):
            model = kind(config).requires_grad_(False)
            model.tie_weights()
        if case.sound:
            model.loss_tokens = loss.LossTokens(END_OF_SPEECH, SOUND)
        if case.four_bit:
            _pack(model.model.layers)
        presets = vtune_orpheus.engine_info().lora_targets
        return attach_lora(model, LoraSettings(rank=32, alpha=64), presets, task_type="CAUSAL_LM")

    def batch() -> dict[str, torch.Tensor]:
        return {name: torch.zeros(case.rows, case.length, dtype=torch.long) for name in ("input_ids", "labels")}

    # What would look at a value is told what holds here: every place is real, and is labelled.
    with (
        mock.patch.object(loss, "labelled_positions", lambda labels: torch.arange(len(labels))),
        mock.patch.object(transformers.masking_utils, "find_packed_sequence_indices", return_value=None),
    ):
        return count_step(build, batch, case.rows * case.length, case.checkpointing, widened=not case.lean)


class FourBit(nn.Linear):
    """A weight with the bytes of NF4 with double quantisation, which is unpacked only while it is multiplied."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(0, 0, bias=False)
        self.in_features, self.out_features = inputs, outputs
        packed = torch.empty(int(0.5 * inputs * outputs + inputs * outputs / 64 * 1.03), dtype=torch.uint8)
        self.weight = nn.Parameter(packed, requires_grad=False)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Multiply with a weight that is unpacked here, and again in the backward pass."""
        output: torch.Tensor = _Unpacked.apply(given, self.out_features)
        return output


class _Unpacked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: torch.Tensor, outputs: int) -> torch.Tensor:
        ctx.shape = outputs, given.shape[-1]
        return nn.functional.linear(given, torch.empty(ctx.shape, dtype=given.dtype))

    @staticmethod
    def backward(ctx: Any, outer: torch.Tensor) -> Any:
        return outer @ torch.empty(ctx.shape, dtype=outer.dtype), None


def _pack(layers: nn.Module) -> None:
    for module in list(layers.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, FourBit(child.in_features, child.out_features))


if __name__ == "__main__":
    main()
