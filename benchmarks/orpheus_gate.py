"""What training asks of a machine at the exact shape of Orpheus 3B, without the machine: operations and bytes.

    python benchmarks/orpheus_gate.py

Fake tensors have shapes and no values, so network, adapter, loss and backward run as they do in training, in
some seconds on any CPU, and every run counts the same. Operations are those of matrix products (attention among tokens,
about 2 % at the length of clips, is not counted). Bytes are of tensors alive at once: no CUDA context, no
fragmentation. Adapters are float32 without autocast, whose copies are narrower: it is the larger case.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import peft
import torch
import transformers
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry

import vtune_orpheus
from vtune import LoraSettings, attach_lora
from vtune_orpheus import attention, loss, network

GIB = 2**30
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


@dataclass(frozen=True)
class Case:
    """One training: ``rows`` x ``length`` tokens a pass, all real and all labelled."""

    rows: int
    length: int
    checkpointing: bool = True
    lean: bool = True
    four_bit: bool = False

    def describe(self) -> str:
        """Say it in a few words."""
        return (
            f"{'4 bit' if self.four_bit else 'bf16'}, {self.rows} x {self.length}, "
            f"{'with' if self.checkpointing else 'no'} checkpointing, {'ours' if self.lean else 'full logits'}"
        )


@dataclass(frozen=True)
class Found:
    """What a case asks for."""

    trainable: int
    flops_per_token: float
    static_bytes: int
    peak_bytes: int


CASES = (
    Case(1, 1024, checkpointing=False, lean=False),
    Case(1, 1024, checkpointing=False),
    Case(1, 2048, lean=False),
    Case(1, 2048),
    Case(8, 1024, lean=False),
    Case(8, 1024),
    Case(1, 2048, four_bit=True),
    Case(2, 2048, four_bit=True),
)


def main() -> None:
    """Print a table."""
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}; LoRA r32")
    print("| training | trainable | GFLOP a token | weights and optimizer | peak |\n|---|---|---|---|---|")
    for case in CASES:
        found = measure(case)
        print(
            f"| {case.describe()} | {found.trainable / 1e6:.1f} M | {found.flops_per_token / 1e9:.2f} "
            f"| {found.static_bytes / GIB:.2f} GiB | {found.peak_bytes / GIB:.2f} GiB |"
        )


def measure(case: Case, **shape: int) -> Found:
    """Run a case's forward and backward with the optimizer's state there, and count.

    :param shape: what is to differ from ``SHAPE``.
    """
    kind = network.LlamaForCausalLM if case.lean else transformers.LlamaForCausalLM
    config = transformers.LlamaConfig(**{**SHAPE, **shape})
    config._attn_implementation = attention.NAME if case.lean else "sdpa"
    alive = Alive()
    with _without_values(), alive:
        with _default_dtype(torch.bfloat16):
            model = kind(config).requires_grad_(False)
            model.tie_weights()
        if case.four_bit:
            _pack(model.model.layers)
        presets = vtune_orpheus.engine_info().lora_targets
        tuned = attach_lora(model, LoraSettings(rank=32, alpha=64), presets, task_type="CAUSAL_LM").train()
        if case.checkpointing:
            model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        learning = [p for p in tuned.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(learning, lr=1e-4, foreach=True)
        for parameter in learning:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()  # makes its state; what it needs itself is gone before the next pass
        optimizer.zero_grad()
        batch = {name: torch.zeros(case.rows, case.length, dtype=torch.long) for name in ("input_ids", "labels")}
        gc.collect()
        static, alive.peak, alive.flops = alive.now, alive.now, 0
        tuned(**batch)["loss"].backward()
        flops = alive.flops / (case.rows * case.length)
        return Found(sum(p.numel() for p in learning), flops, static, alive.peak)


class Alive(TorchDispatchMode):
    """Counts the bytes of storages from when an operation returns them until nobody holds them, and operations.

    torch's own ``FlopCounterMode`` follows modules by hooks that keep what checkpointing has computed again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self.flops = 0
        self._seen: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=answer)
        for tensor in tree_iter(answer):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor.untyped_storage())
        return answer

    def _note(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._seen:
            return
        size = storage.nbytes()

        def gone(_: Any) -> None:
            self._seen.pop(key, None)
            self.now -= size

        self._seen[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)


class FourBit(nn.Linear):
    """The bytes of a weight in NF4 with double quantisation, and a whole one for as long as it is multiplied with."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(0, 0, bias=False)
        self.in_features, self.out_features = inputs, outputs
        packed = torch.empty(int(0.5 * inputs * outputs + inputs * outputs / 64 * 1.03), dtype=torch.uint8)
        self.weight = nn.Parameter(packed, requires_grad=False)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Multiply with a weight that is unpacked here, and again in backward."""
        said: torch.Tensor = _Unpacked.apply(given, self.out_features)
        return said


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


@contextmanager
def _without_values() -> Iterator[None]:
    """Fake tensors; what would look at a value is told what holds here: every place is real, and is labelled."""
    with (
        FakeTensorMode(),
        mock.patch.object(loss, "places_to_learn", lambda labels: torch.arange(len(labels))),
        mock.patch.object(transformers.masking_utils, "find_packed_sequence_indices", return_value=None),
        mock.patch.object(nn.Module, "to", lambda module, *_, **__: module),
        mock.patch.object(BaseTunerLayer, "_move_adapter_to_device_of_base_layer", return_value=None),
        mock.patch.object(peft, "get_peft_model", partial(peft.get_peft_model, autocast_adapter_dtype=False)),
    ):
        yield


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


if __name__ == "__main__":
    main()
