"""Compare ``adapter_config.json``, which PEFT and vLLM read, with ``voice.json``, which vtune reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vtune.errors import VoiceError, shown
from vtune.recipe.lora_arguments import LoraArguments
from vtune.runtime.untrusted import FileRefused, read_json_object, why
from vtune.types import LoraSettings

_NEUTRAL_KEYS = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "fan_in_fan_out",  # how the base stores its weights; PEFT corrects this key by the base itself
        "inference_mode",
        "init_lora_weights",  # the values at the beginning of the training
        "megatron_core",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "revision",
        "runtime_config",
        "task_type",
    }
)
"""Keys that do not change the effect of an adapter. Every other key that is not compared must be off."""


def read_adapter_config(path: Path) -> dict[str, Any]:
    """Read ``adapter_config.json`` as a dictionary. :raises VoiceError: the file is missing or damaged."""
    try:
        return read_json_object(path)
    except FileNotFoundError as error:
        raise VoiceError(f"{path} is missing; the voice is incomplete, make it again") from error
    except (OSError, FileRefused) as error:
        raise VoiceError(f"{path} is damaged: {why(error)}; make the voice again") from error


def check_adapter_config(path: Path, lora: LoraSettings) -> None:
    """Compare PEFT's description of an adapter with vtune's.

    The target modules are compared with the tensors instead, see ``weights.read_adapter``.

    :param lora: the adapter as ``voice.json`` describes it.
    :raises VoiceError: the descriptions differ, or ``voice.json`` cannot describe such an adapter; one line.
    """
    config = read_adapter_config(path)
    problem = next(_problems(config, lora), None)
    if problem is not None:
        raise VoiceError(
            f"{path} says {problem}; both files describe the same adapter and must agree, make the voice again"
        )


def target_modules(config: dict[str, Any], path: Path) -> frozenset[str]:
    """Return the ends of the names of the adapted modules. :raises VoiceError: the value is not a list of names."""
    targets = config.get("target_modules")
    if not isinstance(targets, list) or not targets or not all(isinstance(target, str) for target in targets):
        raise VoiceError(f"{path} says target_modules {shown(targets)}, expected a list of names; make the voice again")
    return frozenset(targets)


def _problems(config: dict[str, Any], lora: LoraSettings) -> Iterator[str]:
    if config.get("peft_type", "LORA") != "LORA":
        yield f"peft_type {shown(config['peft_type'])}, but voice.json describes a LoRA"
    # For each key: PEFT's default, the value in voice.json, and the name of the value there.
    compared: dict[str, tuple[Any, Any, str]] = {
        "r": (8, lora.rank, "rank"),
        "lora_alpha": (8, lora.alpha, "alpha"),
        "lora_dropout": (0.0, lora.dropout, "dropout"),
        "use_rslora": (False, lora.rslora, "rslora"),
        "modules_to_save": (None, sorted(lora.modules_to_save), "modules_to_save"),
    }
    for name, default in LoraArguments().model_dump().items():
        if name not in _NEUTRAL_KEYS:
            compared[name] = (default, lora.arguments.get(name, default), f"arguments.{name}")
    for key, (default, ours, name) in compared.items():
        theirs = config.get(key, default)
        if not _are_equal(theirs, ours):
            yield f"{key} {shown(theirs)}, but voice.json says {name} {shown(ours)}"
    for key, value in config.items():
        if key not in _NEUTRAL_KEYS and key not in compared and key != "target_modules" and value not in _OFF_VALUES:
            yield f"{key} {shown(value)}, but voice.json does not mention it"


_OFF_VALUES: tuple[object, ...] = (None, False, "none", [], {})


def _are_equal(theirs: object, ours: object) -> bool:
    """Compare two values of one key; lists may be in any order, and an empty value means off."""
    if isinstance(ours, list) and isinstance(theirs, list):
        return sorted(map(repr, ours)) == sorted(map(repr, theirs))
    if ours in _EMPTY_VALUES and theirs in _EMPTY_VALUES:
        return True
    return isinstance(theirs, bool) == isinstance(ours, bool) and theirs == ours


_EMPTY_VALUES: tuple[object, ...] = (None, [], {})
