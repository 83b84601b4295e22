"""Trained weights to a folder and back: a PEFT adapter, or every weight of a network; safetensors only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vtune.errors import VoiceError, in_a_line
from vtune.folders import VoiceFolder
from vtune.tensor_files import sort_metadata

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from torch import nn

ADAPTER = "adapter_model.safetensors"

DEFAULT = "default"
"""PEFT's name for a model's first adapter."""


def save_weights(model: nn.Module, folder: Path) -> None:
    """Write an adapter at the folder's root, or ``model.safetensors`` for a network without one.

    The same weights are the same bytes, in whichever process they are written.
    """
    from peft import PeftModel
    from safetensors.torch import save_model

    if isinstance(model, PeftModel):
        model.save_pretrained(str(folder), selected_adapters=[DEFAULT])
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's template; a voice gets a card of its own
        _sort_sets(model, VoiceFolder(folder).adapter_config)
    else:
        save_model(model, str(VoiceFolder(folder).weights))
        sort_metadata(VoiceFolder(folder).weights)


def _sort_sets(model: PeftModel, path: Path) -> None:
    """Order what PEFT keeps as sets, whose order differs from process to process."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    sets = (name for name, value in vars(model.peft_config[DEFAULT]).items() if isinstance(value, set))
    settings |= {name: sorted(settings[name]) for name in sets}
    path.write_text(json.dumps(settings, indent=2, sort_keys=True), encoding="utf-8")


def load_weights(model: nn.Module, folder: Path) -> None:
    """Load what ``save_weights`` wrote into a model of the same shape.

    :raises VoiceError: a file is missing or damaged, or its tensors are not this model's; names some.
    """
    from peft import PeftModel
    from safetensors.torch import load_model

    if isinstance(model, PeftModel):
        fill_adapter(model, read_adapter(folder), folder / ADAPTER)
        return
    path = VoiceFolder(folder).weights
    with _readable(path):
        missing, unexpected = load_model(model, str(path), strict=False)
    _require_same(sorted(missing), unexpected, path)


def read_adapter(folder: Path) -> dict[str, torch.Tensor]:
    """Return an adapter's tensors on the CPU by the names of its file.

    :raises VoiceError: the file is missing or damaged.
    """
    from safetensors.torch import load_file

    path = folder / ADAPTER
    with _readable(path):
        tensors: dict[str, torch.Tensor] = load_file(str(path))
    return tensors


def fill_adapter(model: PeftModel, tensors: Mapping[str, torch.Tensor], origin: object, name: str = DEFAULT) -> None:
    """Put tensors into an adapter of a model.

    :param origin: where they are from, for the error.
    :param name: of the adapter in the model; a model with one calls it as PEFT does.
    :raises VoiceError: they are not this model's; names some.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    mine = get_peft_model_state_dict(model, adapter_name=name)
    unexpected = [n for n, tensor in tensors.items() if n not in mine or mine[n].shape != tensor.shape]
    _require_same(sorted(mine.keys() - tensors.keys()), unexpected, origin)
    set_peft_model_state_dict(model, dict(tensors), adapter_name=name)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except FileNotFoundError as error:
        raise VoiceError(f"{path} is missing; the voice is incomplete, make it again") from error
    except (SafetensorError, OSError, RuntimeError) as error:
        raise VoiceError(f"{path} cannot be loaded: {in_a_line(error)}") from error


def _require_same(missing: Iterable[str], unexpected: Iterable[str], origin: object) -> None:
    differ = [*missing, *unexpected]
    if differ:
        raise VoiceError(f"{origin} does not fit the base: {len(differ)} tensors differ: {', '.join(differ[:4])}")
