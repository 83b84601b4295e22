"""Trained weights to a folder and back: a PEFT adapter, or every weight of a network; safetensors only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vtune.errors import VoiceError, in_a_line
from vtune.folders import VoiceFolder

if TYPE_CHECKING:
    from torch import nn

ADAPTER = "adapter_model.safetensors"


def save_weights(model: nn.Module, folder: Path) -> None:
    """Write an adapter at the folder's root, or ``model.safetensors`` for a network without one."""
    from peft import PeftModel
    from safetensors.torch import save_model

    if isinstance(model, PeftModel):
        model.save_pretrained(str(folder), selected_adapters=["default"])
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's template; a voice gets a card of its own
    else:
        save_model(model, str(VoiceFolder(folder).weights))


def load_weights(model: nn.Module, folder: Path) -> None:
    """Load what ``save_weights`` wrote into a model of the same shape.

    :raises VoiceError: a file is missing or damaged, or its tensors are not this model's; names some.
    """
    from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file, load_model

    adapted = isinstance(model, PeftModel)
    path = folder / ADAPTER if adapted else VoiceFolder(folder).weights
    try:
        if not adapted:
            missing, unexpected = load_model(model, str(path), strict=False)
        else:
            kept = load_file(str(path))
            mine = get_peft_model_state_dict(model)
            missing = sorted(mine.keys() - kept.keys())
            unexpected = [n for n, tensor in kept.items() if n not in mine or mine[n].shape != tensor.shape]
            if not missing and not unexpected:
                set_peft_model_state_dict(model, kept)
    except FileNotFoundError as error:
        raise VoiceError(f"{path} is missing; the voice is incomplete, make it again") from error
    except (SafetensorError, OSError, RuntimeError) as error:
        raise VoiceError(f"{path} cannot be loaded: {in_a_line(error)}") from error
    if missing or unexpected:
        names = ", ".join([*missing, *unexpected][:4])
        raise VoiceError(f"{path} does not fit the base: {len(missing) + len(unexpected)} tensors differ: {names}")
