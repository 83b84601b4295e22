"""Parts: modules that are trained beside the adapter and do not belong to the voice, such as discriminators.

A part is a free module, or a module inside the model. Checkpoints keep the parts, ``final/`` and the voice do not: what
lies inside the model has there the weights of the base.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vtune.errors import EngineError, listed
from vtune.training.tensor_state import read_into, write_tensors

PARTS_FILE = "parts.safetensors"


class TrainingParts:
    """The parts of one training.

    They are moved to the device of the training, all of their tensors learn, and those inside the model are float32:
    an optimizer loses small steps in half precision.

    :param model: the model of the engine.
    :param modules: the parts by name.
    :param title: how errors name the engine and its hook.
    :raises EngineError: a part cannot be trained, or holds tensors of the adapter or of another part.
    """

    def __init__(self, model: nn.Module, modules: Mapping[str, nn.Module], device: torch.device, title: str) -> None:
        self.modules = dict(modules)
        self._inside: dict[str, torch.Tensor] = {}
        of_model = {id(tensor) for tensor in _tensors(model).values()}
        owners: dict[int, str] = {}
        for part, module in self.modules.items():
            module.to(device)
            parameters = dict(module.named_parameters())
            if not parameters:
                raise EngineError(f"{title}: part {part!r} has no tensors to train")
            for name, parameter in parameters.items():
                other = owners.setdefault(id(parameter), part)
                if other != part:
                    raise EngineError(
                        f"{title}: the parts {other!r} and {part!r} both hold {name}; no two parts may share a tensor"
                    )
                if not parameter.is_floating_point() or hasattr(parameter, "quant_state"):
                    raise EngineError(f"{title}: part {part!r} holds {name}, which is quantised and cannot be trained")
                parameter.requires_grad_(True)
            for name, tensor in _tensors(module).items():
                if id(tensor) in of_model:
                    self._inside[f"{part}.{name}"] = tensor
        self._in_base = {name: tensor.detach().clone() for name, tensor in self._inside.items()}
        for tensor in self._inside.values():
            if tensor.is_floating_point():
                tensor.data = tensor.data.float()

    @property
    def free(self) -> dict[str, nn.Module]:
        """The parts that are no modules of the model."""
        inside = {name.partition(".")[0] for name in self._inside}
        return {name: module for name, module in self.modules.items() if name not in inside}

    def parameters(self) -> dict[str, nn.Parameter]:
        """Return the tensors that learn by name: ``discriminator.convs.0.weight``."""
        return {
            f"{part}.{name}": parameter
            for part, module in self.modules.items()
            for name, parameter in module.named_parameters()
        }

    def state(self) -> dict[str, torch.Tensor]:
        """Return everything that a checkpoint keeps by name: the tensors that learn, and buffers."""
        return {
            f"{part}.{name}": tensor
            for part, module in self.modules.items()
            for name, tensor in module.state_dict().items()
        }

    def buffers(self) -> list[torch.Tensor]:
        """Return the buffers, such as running means, which each process changes by itself."""
        return [buffer for module in self.modules.values() for buffer in module.buffers()]

    def save(self, folder: Path) -> None:
        """Write the parts into a checkpoint, if there are any."""
        if self.modules:
            write_tensors(self.state(), folder / PARTS_FILE)

    def load(self, folder: Path) -> None:
        """Read the parts of a checkpoint. :raises ValueError: the file does not fit."""
        if self.modules:
            read_into(self.state(), folder / PARTS_FILE)

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """Give the tensors inside the model the base's values for a while, as a voice has them."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def leave_out(self) -> None:
        """Give the tensors inside the model the base's values for good; the parts cannot be trained any further."""
        self._exchange()
        self._inside, self._in_base = {}, {}

    def _exchange(self) -> None:
        for name, tensor in self._inside.items():
            tensor.data, self._in_base[name] = self._in_base[name], tensor.data


class ModelWithParts(nn.Module):
    """The model of an engine and the parts that are trained with it, as one module for the trainer."""

    is_quantized = False  # transformers refuses to train a quantised module that is no PeftModel

    def __init__(self, model: nn.Module, parts: TrainingParts) -> None:
        super().__init__()
        self.model = model
        self.free = nn.ModuleDict(parts.free)

    def forward(self, **batch: Any) -> Any:
        """Call the model."""
        return self.model(**batch)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)


def check_apart(parts: TrainingParts, adapter: Mapping[str, nn.Parameter], title: str) -> None:
    """Check that no part holds a tensor of the adapter. :raises EngineError: names the tensors."""
    of_parts = {id(parameter): name.partition(".")[0] for name, parameter in parts.parameters().items()}
    shared = {name: of_parts[id(parameter)] for name, parameter in adapter.items() if id(parameter) in of_parts}
    if shared:
        raise EngineError(
            f"{title}: part {next(iter(shared.values()))!r} holds tensors of the adapter: {listed(shared)}; take these "
            "modules out of lora.targets and lora.modules_to_save, or name a smaller part"
        )


def _tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
