"""Read the weights that another trainer saved, and name them as this engine's network does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from vtune import LoraSettings, VoiceError
from vtune.errors import listed, shown
from vtune.runtime.untrusted import FileRefused, read_json_object, why
from vtune.toolkit import read_tensors
from vtune_indextts2.gpt.conditioning import CONDITIONING_PREFIXES
from vtune_indextts2.interchange.layouts import ADAPTER_CONFIG, ADAPTER_FILES, TrainedFiles
from vtune_indextts2.part_loaders import UNUSED_GPT_ENTRIES, gpt_tensors
from vtune_indextts2.state_dicts import Tensors, drop_entries

PEFT_PREFIX = "base_model.model."
KEPT_SETTINGS = ("use_dora", "rank_pattern", "alpha_pattern", "lora_bias")
"""Settings of ``LoraConfig`` that change what an adapter computes, and that vtune's voices can have."""


@dataclass(frozen=True)
class ForeignWeights:
    """What another trainer saved, divided between the network and the conditioning encoders.

    :param layout: what the files are, a noun for users.
    :param network: tensors of the GPT, or of an adapter on it, by this engine's names.
    :param encoder: the same of the conditioning encoders, which this engine does not train.
    :param settings: of ``peft.LoraConfig``; None for weights of a whole network.
    :param files: that were read.
    """

    layout: str
    network: Tensors
    encoder: Tensors = field(default_factory=dict)
    settings: Mapping[str, Any] | None = None
    files: tuple[Path, ...] = ()

    def lora(self, module_names: Sequence[str]) -> LoraSettings:
        """Return the shape of the adapter on the network.

        :param module_names: the modules of the network.
        """
        settings = self.settings or {}
        return LoraSettings(
            rank=int(_number(settings, "r", 8)),
            alpha=_number(settings, "lora_alpha", 8),
            dropout=_number(settings, "lora_dropout", 0.0),
            rslora=bool(settings.get("use_rslora", False)),
            targets=tuple(_targets(settings.get("target_modules"), adapted_modules(self.network), module_names)),
            modules_to_save=tuple(name for name in module_names if name in _names(settings.get("modules_to_save"))),
            arguments={name: settings[name] for name in KEPT_SETTINGS if settings.get(name)},
        )


def read_weights(files: TrainedFiles) -> ForeignWeights:
    """Read an adapter or a checkpoint.

    :raises VoiceError: the layout is not known, or the adapter is of a kind that a voice cannot have.
    :raises EngineError: a file is damaged, or holds more than tensors and plain data.
    """
    if files.kind == "peft folder":
        tensors, path = _peft_tensors(files.path)
        weights = _adapter("a LoRA of a trainer of index-tts, saved by PEFT", tensors, _settings(files))
        return replace(weights, files=(files.path / ADAPTER_CONFIG, path))
    content = read_tensors(files.path)
    if isinstance(content, dict) and isinstance(content.get("adapter"), dict):
        tensors, settings = _one_file(content, files)
        weights = _adapter("a LoRA of a trainer of index-tts, with its settings in one file", tensors, settings)
    else:
        weights = _whole(files.path)
    return replace(weights, files=(files.path,))


def adapted_modules(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """Return the modules that the tensors of an adapter belong to: ``gpt.h.0.attn.c_attn``."""
    names = (name.removeprefix(PEFT_PREFIX) for name in tensors)
    return sorted({re.split(r"\.(?=lora_|modules_to_save)", name)[0] for name in names if ".lora_" in name})


def untouched_pairs(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """Return the adapted modules whose second matrix is zero, as before the first step of a training."""
    return [
        re.split(r"\.(?=lora_)", name.removeprefix(PEFT_PREFIX))[0]
        for name, tensor in tensors.items()
        if re.search(r"\.lora_(embedding_)?B\b", name) and not tensor.any()
    ]


def _adapter(layout: str, tensors: Tensors, settings: Mapping[str, Any]) -> ForeignWeights:
    kind, bias = str(settings.get("peft_type", "LORA")), settings.get("bias", "none")
    if kind != "LORA" or bias != "none":
        found = f"peft_type {shown(kind)}" if kind != "LORA" else f"bias {shown(bias)}"
        raise VoiceError(f"the adapter says {found}; vtune takes LoRA adapters that train no biases of the base")
    named = {_named(name): tensor.float() for name, tensor in tensors.items()}
    encoder = {name: tensor for name, tensor in named.items() if _is_of_encoder(name.removeprefix(PEFT_PREFIX))}
    network = {name: tensor for name, tensor in named.items() if name not in encoder}
    if not adapted_modules(network):
        raise VoiceError(f"the adapter has no tensor of the GPT: {listed(sorted(tensors)) or 'it is empty'}")
    return ForeignWeights(layout, network, encoder, settings)


def _named(name: str) -> str:
    """Return this engine's name of an adapter's tensor: ``h.0.`` on the blocks alone becomes ``gpt.h.0.``."""
    plain = (
        name.removeprefix(PEFT_PREFIX).removeprefix("transformer.").replace(".default.", ".").removesuffix(".default")
    )
    return PEFT_PREFIX + (f"gpt.{plain}" if plain.startswith("h.") else plain)


def _is_of_encoder(name: str) -> bool:
    return name.startswith(CONDITIONING_PREFIXES)


def _peft_tensors(folder: Path) -> tuple[Tensors, Path]:
    path = next((folder / name for name in ADAPTER_FILES if (folder / name).is_file()), None)
    if path is None:
        raise VoiceError(f"{folder} has {ADAPTER_CONFIG}, but neither {' nor '.join(ADAPTER_FILES)}")
    return _only_tensors(read_tensors(path), path), path


def _settings(files: TrainedFiles) -> Mapping[str, Any]:
    path = files.path / ADAPTER_CONFIG
    try:
        return read_json_object(path)
    except (OSError, FileRefused) as error:
        raise VoiceError(f"{path} cannot be read: {why(error)}") from error


def _one_file(content: Mapping[str, Any], files: TrainedFiles) -> tuple[Tensors, Mapping[str, Any]]:
    """Read a checkpoint with the keys ``adapter`` and ``lora`` (``r``, ``alpha``, ``target_modules``)."""
    extra = content.get("extra")
    lora = content.get("lora") or (extra.get("lora") if isinstance(extra, Mapping) else None)
    if not isinstance(lora, Mapping) or not isinstance(lora.get("r"), int) or "alpha" not in lora:
        raise VoiceError(f"{files.path} holds an adapter without its settings (lora: r, alpha, target_modules)")
    settings = {"r": lora["r"], "lora_alpha": lora["alpha"], "target_modules": lora.get("target_modules")}
    return _only_tensors(content["adapter"], files.path), settings


def _only_tensors(content: Any, path: Path) -> Tensors:
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise VoiceError(f"{path} does not hold tensors by name, so it is no adapter")
    return dict(content)


def _whole(path: Path) -> ForeignWeights:
    """Read every weight of a fine-tuned ``gpt.pth``. :raises VoiceError: it holds no GPT, or an unmerged adapter."""
    raw = gpt_tensors(path)
    if not any(name.startswith("gpt.h.") for name in raw):
        raise VoiceError(
            f"{path} holds neither a GPT of index-tts ('gpt.h.*') nor an adapter ('adapter', 'lora'): "
            f"{listed(sorted(raw)) or 'no tensor'}"
        )
    unmerged = [name for name, tensor in raw.items() if ".lora_B" in name and tensor.any()]
    if unmerged:
        raise VoiceError(
            f"{path} holds {len(unmerged)} pairs of an adapter that is not merged ({unmerged[0]}); import the folder "
            f"of the adapter with {ADAPTER_CONFIG} instead"
        )
    tensors = drop_entries(raw, (*UNUSED_GPT_ENTRIES, "*.embed.pos_enc.pe"))
    return ForeignWeights(
        "a full fine-tuning of index-tts",
        {name: tensor.float() for name, tensor in tensors.items() if not _is_of_encoder(name)},
        {name: tensor for name, tensor in tensors.items() if _is_of_encoder(name)},
    )


def _targets(written: Any, adapted: Sequence[str], module_names: Sequence[str]) -> list[str]:
    """Return ends of names that match exactly the adapted modules; if the written ends do not, the whole names."""
    matching = {
        end: [name for name in module_names if name == end or name.endswith(f".{end}")] for end in _names(written)
    }
    used = sorted(end for end, names in matching.items() if names)
    if used and sorted({name for end in used for name in matching[end]}) == list(adapted):
        return used
    return list(adapted)


def _names(value: Any) -> list[str]:
    """Return the texts of a list; nothing of a value that is no list."""
    return [name for name in value if isinstance(name, str)] if isinstance(value, list | tuple | set) else []


def _number(settings: Mapping[str, Any], name: str, default: float) -> float:
    """Return a number of an adapter's settings. :raises VoiceError: it is something else."""
    value = settings.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise VoiceError(f"the adapter says {name} {shown(value)}, which is no number")
    return float(value)
