"""Trainings of Orpheus at the exact shape of 3B, each with the loop that a user of it would run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import transformers
from torch import nn
from training import ARMS, SHAPES, Arm, Row, first_loss, made_clips
from transformers import LlamaConfig, TrainerCallback

from gpu_parts.parts import NotRunError, Settings
from gpu_parts.products import peak_bytes, synchronize
from vtune.toolkit import packed_attention

WARM_UP_STEPS = 2
TINY_SHAPE: dict[str, Any] = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
}  # fmt: skip


def measure(
    settings: Settings,
    arm: str,
    precision: str = "bf16",
    batch: int | None = None,
    packed: bool = True,
    flash: bool = True,
    checkpointing: bool = False,
    bits: int = 16,
    optimizer: str = "adamw_torch",
) -> dict[str, Any]:
    """Train for the given time; return tokens per second, operations and the peak memory.

    :param arm: one of the loops of ``training.py``.
    :param precision: ``mixed`` is bf16 with float32 weights.
    :param packed: False pads the rows of vtune's network to the longest.
    :param flash: False computes attention clip by clip.
    :param bits: of the weights of the base's layers.
    """
    _require(settings, precision, bits, optimizer)
    if not flash:
        packed_attention._varlen_kernel = lambda: None  # type: ignore[assignment]
    kind = ARMS[arm]
    changes: dict[str, Any] = {"optimizer": optimizer, "prepared": lambda self, network: in_bits(network, bits)}
    changes |= {} if batch is None else {"batch": batch}
    changes |= {} if packed else {"attention": "sdpa"}
    made = type("Changed", (kind,), changes)(shape(settings), settings.device, _DTYPES[precision])
    rows = made_clips(5 * made.batch if settings.small else 2048, made.network.config.vocab_size, seed=0)
    if settings.small:
        rows = [{name: values[:40] for name, values in row.items()} for row in rows]
    loss = first_loss(made, rows)
    return {**train(made, rows, settings, checkpointing), "first_loss": loss, "parameters": parameter_count(settings)}


def train(arm: Arm, rows: list[Row], settings: Settings, checkpointing: bool) -> dict[str, Any]:
    """Train until the time is used, and return the figures of the steps after the first ones."""
    clock = Clock(arm, settings)
    further: dict[str, Any] = {}
    if checkpointing:
        further = {"activation_checkpointing": True, "activation_checkpointing_kwargs": {"use_reentrant": False}}
    with tempfile.TemporaryDirectory() as folder:
        trainer = arm.trainer(arm.arguments(folder, 0, **further), rows)
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.add_callback(clock)
        if settings.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        trainer.train()
    return {**clock.figures(), "peak_bytes": peak_bytes(settings.device)}


class Clock(TrainerCallback):  # type: ignore[misc] # transformers is not typed for us
    """Stops a training when its time is used; counts what was done after the first steps.

    The GPU is waited for at the beginning and at the end only, so that the CPU can run ahead as it does in a training.
    """

    def __init__(self, arm: Arm, settings: Settings) -> None:
        self._arm, self._settings = arm, settings
        self._tokens = torch.zeros((), dtype=torch.long, device=settings.device)
        self._steps, self._began, self._seconds, self._processed = 0, 0.0, 0.0, 0
        self._count = 0
        arm.model.register_forward_pre_hook(self._add, with_kwargs=True)

    def _add(self, _: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        mask = kwargs.get("attention_mask")
        self._tokens += kwargs["input_ids"].numel() if mask is None else mask.sum()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin to count, or stop."""
        self._steps += 1
        if self._steps == WARM_UP_STEPS:
            synchronize(self._settings.device)
            self._tokens.zero_()
            self._arm.processed = 0
            self._began = time.perf_counter()
        elif self._steps > WARM_UP_STEPS and (
            time.perf_counter() - self._began > self._settings.seconds or self._steps == state.max_steps
        ):
            synchronize(self._settings.device)
            self._seconds, self._processed = time.perf_counter() - self._began, self._arm.processed
            self._count = self._steps - WARM_UP_STEPS
            control.should_training_stop = True

    def figures(self) -> dict[str, Any]:
        """Return tokens per second, seconds per step, and the positions that pass through the layers for each token.

        :raises NotRunError: the time was too short for a step after the first ones.
        """
        if not self._count:
            raise NotRunError("there was no time for a step after the first ones")
        tokens = int(self._tokens)
        return {
            "tokens_per_second": tokens / self._seconds,
            "seconds_per_step": self._seconds / self._count,
            "steps": self._count,
            "processed": self._processed / tokens,
        }


def shape(settings: Settings) -> LlamaConfig:
    """Return the published shape, or a tiny one."""
    return LlamaConfig(
        **(TINY_SHAPE if settings.small else SHAPES["3b"]), tie_word_embeddings=True, max_position_embeddings=4096
    )


def parameter_count(settings: Settings) -> int:
    """Return the number of the base's parameters; a head that shares its weights with the embeddings counts once."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in transformers.LlamaForCausalLM(shape(settings)).parameters())


def in_bits(network: Any, bits: int) -> Any:
    """Store the linear layers of a network's body in 4 or 8 bits, as transformers does when it loads a checkpoint."""
    if bits == 16:
        return network
    import bitsandbytes

    for module in list(network.model.layers.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, _narrow(bitsandbytes, child, bits))
    setattr(network, f"is_loaded_in_{bits}bit", True)
    return network


def _narrow(bitsandbytes: Any, linear: nn.Linear, bits: int) -> Any:
    sizes, weight = (linear.in_features, linear.out_features), linear.weight.data
    if bits == 4:
        narrow = bitsandbytes.nn.Linear4bit(
            *sizes, bias=False, compute_dtype=weight.dtype, compress_statistics=True, quant_type="nf4", device="meta"
        )
        narrow.weight = bitsandbytes.nn.Params4bit(
            weight, requires_grad=False, compress_statistics=True, quant_type="nf4"
        )
    else:
        narrow = bitsandbytes.nn.Linear8bitLt(*sizes, bias=False, has_fp16_weights=False, threshold=6.0, device="meta")
        narrow.weight = bitsandbytes.nn.Int8Params(weight.cpu(), requires_grad=False, has_fp16_weights=False)
    return narrow.to(weight.device)


_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "mixed": "mixed"}


def _require(settings: Settings, precision: str, bits: int, optimizer: str) -> None:
    on_cpu = settings.device == "cpu"
    if on_cpu and (precision == "fp16" or bits < 16 or "bnb" in optimizer):
        raise NotRunError("needs a CUDA GPU")
    if bits < 16 or "bnb" in optimizer:
        import bitsandbytes  # noqa: F401 -- so that a missing library is the reason
    if not on_cpu and precision != "fp16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise NotRunError("this GPU does not compute in bf16")
