"""Tell from a network's class which other software loads it; no engine has to say so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from vtune.types import EngineOptions


def network_of(model: nn.Module) -> nn.Module:
    """Return the network inside a PeftModel; return a model without an adapter as it is."""
    from peft import PeftModel

    network: nn.Module = model.get_base_model() if isinstance(model, PeftModel) else model
    return network


def is_plain(network: nn.Module) -> bool:
    """Tell whether plain transformers loads a network: it is a causal language model of transformers' own.

    A class of an engine's that bears the name of its parent comes to the same answers in its own way: a checkpoint
    names it as it names the parent, and has the same tensors.
    """
    name = type(network).__name__
    parents = (parent for parent in type(network).__mro__ if parent.__name__ == name)
    return name.endswith("ForCausalLM") and any(
        parent.__module__.startswith("transformers.models.") for parent in parents
    )


def is_llama(network: nn.Module) -> bool:
    """Tell whether software for Llama networks runs a network."""
    return is_plain(network) and type(network).__name__ == "LlamaForCausalLM"


def base_name(network: nn.Module, options: EngineOptions) -> str | None:
    """Return what other software should load as the base: a Hub id, or the absolute path of a folder.

    :param options: the options that the engine loaded the base with.
    :returns: None if neither the network nor the options name a base.
    """
    name: Any = getattr(network, "name_or_path", "") or getattr(options, "base_model", None)
    if not isinstance(name, str) or not name:
        return None
    return os.path.abspath(name) if os.path.isdir(name) else name
