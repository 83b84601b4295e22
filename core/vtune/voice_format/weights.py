"""Write and read trained weights: a PEFT adapter, or every weight of a network; safetensors only."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterable, Iterator, Mapping
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

ADAPTER_FILE = "adapter_model.safetensors"

MAX_WEIGHT_VALUE = 1e4
"""Largest magnitude of a weight. Healthy adapters stay below 10, whole networks below 1,000; beyond 10,000 the product
of two weights overflows half precision, and the voice speaks noise."""

ADAPTER_DTYPES = ("F64", "F32", "F16", "BF16")
WEIGHTS_DTYPES = (*ADAPTER_DTYPES, "I64", "I32", "I16", "I8", "U8", "BOOL")
"""A whole network may also have integers, in its buffers."""

DEFAULT_ADAPTER = "default"
"""PEFT's name for a model's first adapter."""


def save_weights(model: nn.Module, folder: Path) -> None:
    """Write an adapter to the root of a folder, or ``model.safetensors`` for a network without an adapter.

    The same weights give the same bytes in every process.
    """
    from peft import PeftModel
    from safetensors.torch import save_model

    if isinstance(model, PeftModel):
        with _without_model_card(model):
            model.save_pretrained(str(folder), selected_adapters=[DEFAULT_ADAPTER])
        _sort_sets(model, VoiceFolder(folder).adapter_config)
    else:
        save_model(model, str(VoiceFolder(folder).weights))
        sort_metadata(VoiceFolder(folder).weights)


@contextmanager
def _without_model_card(model: PeftModel) -> Iterator[None]:
    """Keep PEFT from filling its template of a ``README.md``, which takes 60 ms; vtune writes a card of its own."""
    model.create_or_update_model_card = lambda output_dir: None
    try:
        yield
    finally:
        del model.create_or_update_model_card


def _sort_sets(model: PeftModel, path: Path) -> None:
    """Sort the lists in ``adapter_config.json`` that PEFT holds as sets, whose order differs between processes."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    sets = (name for name, value in vars(model.peft_config[DEFAULT_ADAPTER]).items() if isinstance(value, set))
    settings |= {name: sorted(settings[name]) for name in sets}
    path.write_text(json.dumps(settings, indent=2, sort_keys=True), encoding="utf-8")


def load_weights(model: nn.Module, folder: Path) -> None:
    """Load weights that ``save_weights`` wrote into a model of the same shape.

    :raises VoiceError: a file is missing or damaged, holds impossible values, or does not fit the model; names some of
        the tensors that differ.
    """
    from peft import PeftModel
    from safetensors.torch import load_model

    if isinstance(model, PeftModel):
        fill_adapter(model, read_adapter(folder), folder / ADAPTER_FILE)
        return
    path = VoiceFolder(folder).weights
    with readable(path):
        for _ in _checked_tensors(path, WEIGHTS_DTYPES):
            pass
        missing, unexpected = load_model(model, str(path), strict=False)
    _require_same(sorted(missing), unexpected, path)


def add_network(network: nn.Module, folder: Path, weight: float) -> None:
    """Add a whole network's floating-point tensors to those of a network of the same shape, in place.

    Tensors of other types keep the values of the network.

    :param folder: has ``model.safetensors``, as ``save_weights`` wrote it.
    :param weight: the factor of what is added.
    :raises VoiceError: the file is missing or damaged, holds impossible values, or does not fit the network; the
        network may then be half changed.
    """
    import torch

    path, state = VoiceFolder(folder).weights, network.state_dict()
    # A tensor that two modules share is added once, and the file has it under one of its names.
    places = {name: place_of(name, tensor) for name, tensor in state.items()}
    seen: set[Hashable] = set()
    unexpected: list[str] = []
    with readable(path), torch.no_grad():
        for name, tensor in _checked_tensors(path, WEIGHTS_DTYPES):
            if name not in state or state[name].shape != tensor.shape:
                unexpected.append(name)
            elif places[name] not in seen:
                seen.add(places[name])
                if state[name].is_floating_point():
                    state[name].add_(tensor.to(state[name].device, state[name].dtype), alpha=weight)
    missing = sorted(name for name, place in places.items() if place not in seen and name not in unexpected)
    _require_same(missing, unexpected, path)


def place_of(name: str, tensor: torch.Tensor) -> Hashable:
    """Return what two names of one tensor have in common: where its values lie, and its shape."""
    return (tensor.data_ptr(), tensor.shape) if tensor.numel() else name


def read_adapter(folder: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of an adapter to the CPU, by their names in the file.

    :raises VoiceError: the file is missing or damaged, or a tensor holds impossible values; names the tensor.
    """
    path = folder / ADAPTER_FILE
    with readable(path):
        tensors = dict(_checked_tensors(path, ADAPTER_DTYPES))
    _require_same_targets(tensors, VoiceFolder(folder).adapter_config)
    return tensors


def _checked_tensors(path: Path, dtypes: Iterable[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors of a file after a check of their values; memory is mapped, not copied."""
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
                require_sane(path, name, float(lowest), float(highest), MAX_WEIGHT_VALUE)
            yield name, tensor


def fill_adapter(
    model: PeftModel, tensors: Mapping[str, torch.Tensor], origin: object, name: str = DEFAULT_ADAPTER
) -> None:
    """Copy tensors into an adapter of a model.

    :param origin: path of the tensors, for the error.
    :param name: name of the adapter in the model; the first adapter has PEFT's default name.
    :raises VoiceError: the tensors do not fit the adapter; names some of them.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    expected = get_peft_model_state_dict(model, adapter_name=name)
    unexpected = [
        tensor_name
        for tensor_name, tensor in tensors.items()
        if tensor_name not in expected or expected[tensor_name].shape != tensor.shape
    ]
    _require_same(sorted(expected.keys() - tensors.keys()), unexpected, origin)
    set_peft_model_state_dict(model, dict(tensors), adapter_name=name)


def fill_network(network: nn.Module, tensors: Mapping[str, torch.Tensor], origin: object) -> None:
    """Copy tensors into a whole network.

    :param origin: path of the tensors, for the error.
    :raises VoiceError: the tensors do not fit the network; names some of them.
    """
    expected = network.state_dict()
    unexpected = [
        name for name, tensor in tensors.items() if name not in expected or expected[name].shape != tensor.shape
    ]
    _require_same(sorted(expected.keys() - tensors.keys()), unexpected, origin)
    network.load_state_dict(dict(tensors))


def require_sane_values(tensors: Mapping[str, torch.Tensor], origin: object) -> None:
    """Check that trained weights are numbers, and none too large. :raises VoiceError: names the tensor."""
    import torch

    for name, tensor in tensors.items():
        lowest, highest = (float(value) for value in torch.aminmax(tensor.float())) if tensor.numel() else (0.0, 0.0)
        if not max(-lowest, highest) <= MAX_WEIGHT_VALUE:  # NaN is not
            raise VoiceError(
                f"{origin}: tensor {name!r} holds {lowest:g} to {highest:g}, which is no weight of a voice that speaks"
            )


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn errors of reading a file of weights into one line. :raises VoiceError: the file is missing or damaged."""
    from safetensors import SafetensorError

    try:
        yield
    except FileNotFoundError as error:
        raise VoiceError(f"{path} is missing; the voice is incomplete, make it again") from error
    except FileRefused as error:
        raise VoiceError(f"{path} cannot be loaded: {error.reason}; make the voice again") from error
    except (SafetensorError, OSError, RuntimeError) as error:
        raise VoiceError(f"{path} cannot be loaded: {in_a_line(error)}; make the voice again") from error


def _require_same(missing: Iterable[str], unexpected: Iterable[str], origin: object) -> None:
    differ = [*missing, *unexpected]
    if differ:
        raise VoiceError(f"{origin} does not fit the base: {len(differ)} tensors differ: {listed(differ)}")


def _require_same_targets(names: Iterable[str], path: Path) -> None:
    """Require that ``adapter_config.json`` names the same modules as the tensors."""
    if not os.path.lexists(path):
        return
    targets = target_modules(read_adapter_config(path), path)
    adapted = {module_of(name) for name in names if ".lora_" in name}
    ends = {module: _ends(module) & targets for module in adapted}
    differing = sorted(
        {module for module, matching in ends.items() if not matching} | (targets - set().union(*ends.values()))
    )
    if differing:
        raise VoiceError(
            f"{path} and {ADAPTER_FILE} name different target_modules: {listed(differing)}; both files describe the "
            "same adapter and must agree, make the voice again"
        )


def module_of(name: str) -> str:
    """Return the name of the module that a tensor of an adapter belongs to.

    ``base_model.model.h.0.mlp.lora_A.weight`` belongs to ``h.0.mlp``.
    """
    return name.removeprefix("base_model.model.").partition(".lora_")[0]


def _ends(name: str) -> frozenset[str]:
    """Return the ends of a dotted name: ``a.b.c``, ``b.c`` and ``c``."""
    parts = name.split(".")
    return frozenset(".".join(parts[start:]) for start in range(len(parts)))
