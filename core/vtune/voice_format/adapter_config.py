"""Compare ``adapter_config.json``, which PEFT and vLLM read, with ``voice.json``, which vtune reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vtune.errors import VoiceError, shown
from vtune.recipe.lora_arguments import LoraArguments
from vtune.runtime.untrusted import FileRefused, read_json_object, why
from vtune.types import LoraSettings

_NEUTRAL = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "fan_in_fan_out",  # how the base stores its weights; PEFT sets it right by the base itself
        "inference_mode",
        "init_lora_weights",  # where the training began
        "megatron_core",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "revision",
        "runtime_config",
        "task_type",
    }
)
"""Keys that do not change what an adapter does. Every other key that is not compared must be off."""


def read_adapter_config(path: Path) -> dict[str, Any]:
    """Read PEFT's description of an adapter. :raises VoiceError: it is not there, or it is damaged."""
    try:
        return read_json_object(path)
    except FileNotFoundError as error:
        raise VoiceError(f"{path} is missing; the voice is incomplete, make it again") from error
    except (OSError, FileRefused) as error:
        raise VoiceError(f"{path} is damaged: {why(error)}; make the voice again") from error


def check_adapter_config(path: Path, lora: LoraSettings) -> None:
    """Compare PEFT's description of an adapter with vtune's.

    Which modules the targets are is known only beside the tensors: see ``weights.read_adapter``.

    :param lora: what ``voice.json`` says.
    :raises VoiceError: they differ, or the adapter is of a kind that ``voice.json`` cannot describe; one line.
    """
    config = read_adapter_config(path)
    problem = next(_problems(config, lora), None)
    if problem is not None:
        raise VoiceError(f"{path} says {problem}; both describe one adapter and must agree, make the voice again")


def target_modules(config: dict[str, Any], path: Path) -> frozenset[str]:
    """Return the ends of names of the modules that an adapter sits on. :raises VoiceError: they are no such list."""
    targets = config.get("target_modules")
    if not isinstance(targets, list) or not targets or not all(isinstance(target, str) for target in targets):
        raise VoiceError(f"{path} says target_modules {shown(targets)}, expected a list of names; make the voice again")
    return frozenset(targets)


def _problems(config: dict[str, Any], lora: LoraSettings) -> Iterator[str]:
    if config.get("peft_type", "LORA") != "LORA":
        yield f"peft_type {shown(config['peft_type'])}, and voice.json is of a LoRA"
    # What PEFT takes where a key is missing, what voice.json says, and how voice.json calls it.
    compared: dict[str, tuple[Any, Any, str]] = {
        "r": (8, lora.rank, "rank"),
        "lora_alpha": (8, lora.alpha, "alpha"),
        "lora_dropout": (0.0, lora.dropout, "dropout"),
        "use_rslora": (False, lora.rslora, "rslora"),
        "modules_to_save": (None, sorted(lora.modules_to_save), "modules_to_save"),
    }
    for name, default in LoraArguments().model_dump().items():
        if name not in _NEUTRAL:
            compared[name] = (default, lora.arguments.get(name, default), f"arguments.{name}")
    for key, (default, ours, name) in compared.items():
        theirs = config.get(key, default)
        if not _same(theirs, ours):
            yield f"{key} {shown(theirs)}, voice.json says {name} {shown(ours)}"
    for key, value in config.items():
        if key not in _NEUTRAL and key not in compared and key != "target_modules" and value not in _OFF:
            yield f"{key} {shown(value)}, of which voice.json says nothing"


_OFF: tuple[object, ...] = (None, False, "none", [], {})


def _same(theirs: object, ours: object) -> bool:
    """Compare two values of one key; lists may be in any order, and what is empty is off."""
    if isinstance(ours, list) and isinstance(theirs, list):
        return sorted(map(repr, ours)) == sorted(map(repr, theirs))
    if ours in _EMPTY and theirs in _EMPTY:
        return True
    return isinstance(theirs, bool) == isinstance(ours, bool) and theirs == ours


_EMPTY: tuple[object, ...] = (None, [], {})
