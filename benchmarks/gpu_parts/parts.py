"""The list of all parts: their names, the functions that measure them, and their share of the time.

This module imports nothing that takes long, because the process that starts the parts needs only this list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


class NotRunError(Exception):
    """A part cannot be measured on this machine; the message says why."""


@dataclass(frozen=True)
class Settings:
    """What every part is told.

    :param device: ``cuda`` or ``cpu``.
    :param small: whether the shapes are small, for a test on a CPU.
    :param seconds: how long the part may measure, without what it needs to build first.
    """

    device: str
    small: bool
    seconds: float


@dataclass(frozen=True)
class Part:
    """One row of a table, which one process measures.

    :param name: of the row.
    :param table: the table that the row is in.
    :param function: ``module:function``; it takes ``Settings`` and ``arguments``.
    :param weight: its share of the time, compared with the other parts.
    :param gpu_only: not run on a CPU, where it takes long and where the project's own tests do it.
    """

    name: str
    table: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    gpu_only: bool = False


def _orpheus(name: str, arm: str = "vtune", **arguments: Any) -> Part:
    return Part(name, "orpheus", "gpu_parts.orpheus_training:measure", {"arm": arm, **arguments}, weight=2.0)


def _indextts2(name: str, way: str, **arguments: Any) -> Part:
    return Part(name, "indextts2", "gpu_parts.indextts2_steps:measure", {"way": way, **arguments})


def _check(name: str, function: str, **arguments: Any) -> Part:
    return Part(name, "checks", function, arguments, weight=0.5)


def _voice(name: str, engine: str, *, gpu_only: bool = True, **arguments: Any) -> Part:
    part = _check(name, "gpu_parts.voice_checks:whole_voice", engine=engine, **arguments)
    return replace(part, gpu_only=gpu_only)


MACHINE = Part("this machine", "machine", "gpu_parts.products:describe")
"""Describes the machine for every run; it is no row."""

PARTS: tuple[Part, ...] = (
    Part("products of matrices", "machine", "gpu_parts.products:measure", weight=0.3),
    _orpheus("packed, bf16"),
    _orpheus("packed, bf16, 32 clips", batch=32),
    _orpheus("packed, bf16, SDPA clip by clip", flash=False),
    _orpheus("packed, bf16, checkpointing", checkpointing=True),
    _orpheus("padded, bf16", packed=False),
    _orpheus("packed, fp16 with a scaler", precision="fp16"),
    _orpheus("packed, base in 4 bits", bits=4),
    _orpheus("packed, base in 8 bits", bits=8),
    _orpheus("packed, bf16, optimizer in 8 bits", optimizer="adamw_bnb_8bit"),
    _orpheus("upstream's script (batch 1, whole embeddings and head)", arm="official", precision="mixed"),
    _orpheus("stock Trainer, 8 clips padded to the longest", arm="stock"),
    _orpheus("a guide's loop, batch 1, padded to 2048", arm="padded"),
    _indextts2("packed, bf16", "packed"),
    _indextts2("packed, bf16, checkpointing", "packed", checkpointing=True),
    _indextts2("packed, bf16, without dropout, which the varlen kernel lacks", "packed", dropout=0.0),
    _indextts2("packed, fp16 with a scaler", "packed", precision="fp16"),
    _indextts2("packed, bf16, optimizer in 8 bits", "packed", optimizer="adamw_bnb_8bit"),
    _indextts2("text and codes padded apart, as forks of upstream do", "padded apart"),
    _indextts2("padded to the longest, all logits", "padded"),
    *(
        Part(f"a card of {size} GiB", "limits", "gpu_parts.limits:measure", {"gib": size}, gpu_only=size != 12)
        for size in (8, 12, 16, 24, 48, 80)
    ),
    Part("this card", "limits", "gpu_parts.limits:measure", {"gib": None}, weight=2.0),
    *(Part(f"{rows} rows", "decoding", "gpu_parts.decoding:measure", {"rows": rows}) for rows in (1, 8, 32)),
    Part("first sound", "decoding", "gpu_parts.decoding:first_sound"),
    _check("a resumed training is equal bit by bit (deterministic kernels)", "gpu_parts.resuming:measure"),
    _check("the varlen kernel equals attention clip by clip, with gradients", "gpu_parts.kernel_checks:varlen"),
    _check("float32 weights under autocast use the varlen kernel", "gpu_parts.kernel_checks:varlen_under_autocast"),
    _check("attention with fewer key heads equals float32 in fp16", "gpu_parts.kernel_checks:grouped_heads"),
    _check("the loss in chunks equals cross entropy, with gradients", "gpu_parts.kernel_checks:chunked_loss"),
    _check("gradient checkpointing changes nothing", "gpu_parts.kernel_checks:checkpointing"),
    _check("the loss is watched without waiting (pinned memory, events)", "gpu_parts.kernel_checks:loss_watch"),
    _check("an overflow in fp16 is skipped, and the scale goes down", "gpu_parts.kernel_checks:scaler_skips"),
    _check("two optimizers in fp16 have scales of their own", "gpu_parts.kernel_checks:two_scalers"),
    _check("memory that ran out is recognised, and given back", "gpu_parts.kernel_checks:out_of_memory"),
    _check("parts beside a base in 4 bits", "gpu_parts.kernel_checks:quantised_parts"),
    Part("vtune plan measures on the device", "checks", "gpu_parts.voice_checks:plan", weight=0.5, gpu_only=True),
    _check("openai-whisper in fp16", "gpu_parts.speech_checks:whisper"),
    _check("NCCL: one process", "gpu_parts.process_checks:nccl"),
    _check("NCCL: a training of two processes", "gpu_parts.process_checks:two_processes"),
    _check("FSDP2: a training of two processes", "gpu_parts.process_checks:two_processes", sharding="fsdp2"),
    _check("one process takes one GPU of several", "gpu_parts.process_checks:one_gpu_of_several"),
    _check("the stepper computes transformers' logits", "gpu_parts.speech_checks:stepper"),
    _check("the codec makes the same sound as on a CPU", "gpu_parts.speech_checks:codec"),
    _check(
        "attn_implementation: flash_attention_2",
        "gpu_parts.speech_checks:attention",
        implementation="flash_attention_2",
    ),
    _check("attn_implementation: flex_attention", "gpu_parts.speech_checks:attention", implementation="flex_attention"),
    _voice("a whole voice of Orpheus, bf16", "orpheus", gpu_only=False, precision="bf16"),
    _voice("a whole voice of Orpheus, fp16", "orpheus", precision="fp16"),
    _voice("a whole voice of Orpheus, all weights trained", "orpheus", method="full"),
    _voice("a whole voice of Orpheus, 4 bits", "orpheus", quantization="4bit"),
    _voice("a whole voice of Orpheus, 8 bits", "orpheus", quantization="8bit"),
    _voice("a whole voice of Orpheus whose checkpoints speak", "orpheus", checkpoint_sentences=1),
    _voice("a whole voice of IndexTTS2, bf16", "indextts2", precision="bf16"),
    _voice("a whole voice of VITS, bf16, with a moving average", "vits", precision="bf16", ema=0.9),
    _voice("a whole voice of VITS, fp16 (two scalers)", "vits", precision="fp16"),
)


def parts_named(names: list[str]) -> tuple[Part, ...]:
    """Return the parts whose table or ``table: name`` begins with one of these texts; all parts for no texts."""
    chosen = tuple(part for part in PARTS if not names or any(title_of(part).startswith(name) for name in names))
    if not chosen:
        raise SystemExit(f"no part begins with {names}; --list shows all parts")
    return chosen


def title_of(part: Part) -> str:
    """Return the name by which the results keep a part; it is unique."""
    return f"{part.table}: {part.name}"
