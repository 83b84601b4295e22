"""What a network is to other software, by its own class; no engine has to say so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from vtune.types import EngineOptions


def network_of(model: nn.Module) -> nn.Module:
    """Return the network inside a PeftModel, or what has no adapter as it is."""
    from peft import PeftModel

    network: nn.Module = model.get_base_model() if isinstance(model, PeftModel) else model
    return network


def is_plain(network: nn.Module) -> bool:
    """Tell whether plain transformers loads it: a class of transformers' own that makes text of text.

    A class of an engine's that bears the name of its parent comes to the same answers in its own way: a checkpoint
    names it as it names the parent, and has the same tensors.
    """
    name = type(network).__name__
    kin = (one for one in type(network).__mro__ if one.__name__ == name)
    return name.endswith("ForCausalLM") and any(one.__module__.startswith("transformers.models.") for one in kin)


def is_llama(network: nn.Module) -> bool:
    """Tell whether software that knows llamas runs it."""
    return is_plain(network) and type(network).__name__ == "LlamaForCausalLM"


def base_name(network: nn.Module, options: EngineOptions) -> str | None:
    """Return what other software should load as the base: a Hub id, or a folder's absolute path.

    :param options: that the engine loaded it with.
    :returns: None where neither names one.
    """
    name: Any = getattr(network, "name_or_path", "") or getattr(options, "base_model", None)
    if not isinstance(name, str) or not name:
        return None
    return os.path.abspath(name) if os.path.isdir(name) else name
