"""Trained weights to a folder and back: a PEFT adapter, or every weight of a network; safetensors only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vtune.errors import VoiceError, in_a_line, listed
from vtune.runtime.paths import VoiceFolder
from vtune.runtime.untrusted import FileRefused, read_tensor_header, require_dtypes, require_sane
from vtune.voice_format.adapter_config import read_adapter_config, target_modules
from vtune.voice_format.tensor_files import sort_metadata

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from torch import nn

ADAPTER = "adapter_model.safetensors"

MAX_WEIGHT = 1e4
"""Largest magnitude of a weight: those of healthy adapters stay below 10, those of whole networks below 1,000; beyond
10,000 the products of two overflow half precision, and what is spoken is noise."""

ADAPTER_DTYPES = ("F64", "F32", "F16", "BF16")
WEIGHTS_DTYPES = (*ADAPTER_DTYPES, "I64", "I32", "I16", "I8", "U8", "BOOL")
"""A whole network may count in whole numbers as well, in its buffers."""

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

    :raises VoiceError: a file is missing or damaged, holds values that no network has, or its tensors or
        ``adapter_config.json`` are not this model's; names some.
    """
    from peft import PeftModel
    from safetensors.torch import load_model

    if isinstance(model, PeftModel):
        fill_adapter(model, read_adapter(folder), folder / ADAPTER)
        return
    path = VoiceFolder(folder).weights
    with _readable(path):
        for _ in _checked_tensors(path, WEIGHTS_DTYPES):
            pass
        missing, unexpected = load_model(model, str(path), strict=False)
    _require_same(sorted(missing), unexpected, path)


def read_adapter(folder: Path) -> dict[str, torch.Tensor]:
    """Return an adapter's tensors on the CPU by the names of its file.

    :raises VoiceError: the file is missing or damaged, or a tensor holds what no adapter has; names the tensor.
    """
    path = folder / ADAPTER
    with _readable(path):
        tensors = dict(_checked_tensors(path, ADAPTER_DTYPES))
    _require_same_targets(tensors, VoiceFolder(folder).adapter_config)
    return tensors


def _checked_tensors(path: Path, dtypes: Iterable[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield a file's tensors, each looked through for values that no network has; memory is mapped, not copied."""
    import torch
    from safetensors import safe_open

    headers, _ = read_tensor_header(path)
    require_dtypes(path, headers, dtypes)
    with safe_open(str(path), framework="pt") as file:
        for name in headers:
            tensor = file.get_tensor(name)
            if not tensor.numel():
                raise FileRefused(path, f"tensor {name!r} is empty, its shape is {list(tensor.shape)}")
            if tensor.is_floating_point():
                lowest, highest = torch.aminmax(tensor)
                require_sane(path, name, float(lowest), float(highest), MAX_WEIGHT)
            yield name, tensor


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
    except FileRefused as error:
        raise VoiceError(f"{path} cannot be loaded: {error.reason}; make the voice again") from error
    except (SafetensorError, OSError, RuntimeError) as error:
        raise VoiceError(f"{path} cannot be loaded: {in_a_line(error)}") from error


def _require_same(missing: Iterable[str], unexpected: Iterable[str], origin: object) -> None:
    differ = [*missing, *unexpected]
    if differ:
        raise VoiceError(f"{origin} does not fit the base: {len(differ)} tensors differ: {listed(differ)}")


def _require_same_targets(names: Iterable[str], path: Path) -> None:
    """Compare the modules that ``adapter_config.json`` names with those that there are tensors of."""
    if not os.path.lexists(path):
        return
    targets = target_modules(read_adapter_config(path), path)
    adapted = {module_of(name) for name in names if ".lora_" in name}
    ends = {module: _ends(module) & targets for module in adapted}
    strange = sorted({module for module, found in ends.items() if not found} | (targets - set().union(*ends.values())))
    if strange:
        raise VoiceError(
            f"{path} says target_modules of which {ADAPTER} says otherwise: {listed(strange)}; both describe one "
            "adapter and must agree, make the voice again"
        )


def module_of(name: str) -> str:
    """Return the module that a tensor of an adapter's file belongs to.

    ``base_model.model.h.0.mlp.lora_A.weight`` belongs to ``h.0.mlp``.
    """
    return name.removeprefix("base_model.model.").partition(".lora_")[0]


def _ends(name: str) -> frozenset[str]:
    """Return a dotted name's ends: ``a.b.c``, ``b.c`` and ``c``."""
    parts = name.split(".")
    return frozenset(".".join(parts[start:]) for start in range(len(parts)))
