"""Count operations and bytes of one training step with LoRA, without a machine that could run the step.

Fake tensors have shapes and no values, so network, adapter, loss and backward pass run as they do in training, in some
seconds on any CPU, and every run counts the same. Operations are those of matrix products. Bytes are those of tensors
that exist at the same time, without a CUDA context and without fragmentation. Adapters are float32 under autocast to
bf16, as in training.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import peft
import torch
import transformers
from peft.helpers import disable_input_dtype_casting
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry

from vtune.training.weight_casting import cast_weights_per_product

GIB = 2**30


@dataclass(frozen=True)
class Found:
    """What one training step needs, as it was counted."""

    trainable: int
    flops_per_token: float
    static_bytes: int
    peak_bytes: int


def count_step(
    build: Callable[[], Any],
    make_batch: Callable[[], dict[str, torch.Tensor]],
    tokens: int,
    checkpointing: bool,
    *,
    widened: bool,
) -> Found:
    """Run the forward and backward pass with the optimizer's state in memory, and count.

    :param build: makes the network with its adapter.
    :param tokens: number of tokens, for operations per token.
    :param widened: adapters get float32 copies of their inputs, as with PEFT; vtune's loop has no such copies.
    """
    alive = Alive()
    with _without_values(), alive:
        tuned = build().train()
        if checkpointing:
            network = tuned.get_base_model()
            network.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        learning = [p for p in tuned.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(learning, lr=1e-4, foreach=True)
        for parameter in learning:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()  # makes its state; what it needs itself is gone before the next pass
        optimizer.zero_grad()
        batch = make_batch()
        gc.collect()
        static, alive.peak, alive.flops = alive.now, alive.now, 0
        with (
            disable_input_dtype_casting(tuned, active=not widened),
            cast_weights_per_product(tuned, active=not widened),
        ):
            with torch.autocast("cpu", torch.bfloat16):
                loss = tuned(**batch)["loss"]
            loss.backward()
        return Found(sum(p.numel() for p in learning), alive.flops / tokens, static, alive.peak)


def say(counted: Iterable[tuple[str, Found]], lora: str) -> None:
    """Print a table, each row as soon as it is counted.

    :param lora: the adapter that all cases have.
    """
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}; {lora}")
    print("| training | trainable | GFLOP a token | weights and optimizer | peak |\n|---|---|---|---|---|")
    for name, measurement in counted:
        print(
            f"| {name} | {measurement.trainable / 1e6:.1f} M | {measurement.flops_per_token / 1e9:.2f} "
            f"| {measurement.static_bytes / GIB:.2f} GiB | {measurement.peak_bytes / GIB:.2f} GiB |",
            flush=True,
        )


class Alive(TorchDispatchMode):
    """Counts operations, and the bytes of each storage from its creation until nothing refers to the storage.

    torch's own ``FlopCounterMode`` uses hooks on modules, and these keep what checkpointing computes again.
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


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Set the default dtype of what is built inside the context."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _without_values() -> Iterator[None]:
    """Use fake tensors, and do not move them between devices."""
    with (
        FakeTensorMode(),
        mock.patch.object(nn.Module, "to", lambda module, *_, **__: module),
        mock.patch.object(BaseTunerLayer, "_move_adapter_to_device_of_base_layer", return_value=None),
        mock.patch.object(peft, "get_peft_model", partial(peft.get_peft_model, autocast_adapter_dtype=False)),
    ):
        yield
