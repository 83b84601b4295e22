"""The shape of a LoRA adapter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """A LoRA adapter's shape; names follow ``peft.LoraConfig``.

    ``targets`` are presets of the engine (a key of ``EngineInfo.lora_targets``), ends of module names
    (``q_proj``) or regular expressions over whole names.
    """

    rank: int = 32
    alpha: float = 64
    dropout: float = 0.0
    rslora: bool = False
    targets: tuple[str, ...] = ("all",)
    modules_to_save: tuple[str, ...] = ()
