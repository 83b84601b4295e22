"""The shape of a LoRA adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """A LoRA adapter's shape; names follow ``peft.LoraConfig``.

    ``targets`` are presets of the engine (a key of ``EngineInfo.lora_targets``), ends of module names
    (``q_proj``) or regular expressions over whole names. ``arguments`` are further fields of ``LoraConfig`` under
    PEFT's own names, those that a recipe's ``lora.arguments`` may hold.
    """

    rank: int = 32
    alpha: float = 64
    dropout: float = 0.0
    rslora: bool = False
    targets: tuple[str, ...] = ("all",)
    modules_to_save: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
