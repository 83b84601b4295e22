"""The life of a voice on one device: recordings are encoded, a step is trained, and the voice speaks.

    python device_life.py ENGINE FOLDER OPTIONS

As a program, it lives once on the simulated device and once on the CPU with each of the options, a list in JSON, and
prints what differs. It is a process of its own because torch makes its threads for gradients once, for the devices of
that moment.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from simulated_device import simulated_device

from vtune.testing.subject import Subject, sound_of
from vtune.training.parts import TrainingParts
from vtune.types import Batch


class OneStep:
    """Notes the losses of an engine's own step, and gives their gradients to the tensors of each optimizer."""

    step, epoch, progress = 0, 0, 0.0

    def __init__(self, parts: Mapping[str, torch.nn.Module], tensors: Mapping[str, list[torch.Tensor]]) -> None:
        self.parts, self._tensors = parts, tensors

    def optimize(self, loss: torch.Tensor, optimizer: str = "main") -> None:
        """Compute the gradients of one loss."""
        torch.autograd.backward(loss.float(), inputs=self._tensors[optimizer])


def live(engine: str, options: dict[str, Any], folder: Path, device: torch.device) -> dict[str, np.ndarray]:
    """Do with an engine what a run does, and return what comes of it."""
    subject = Subject(engine, options, folder, seed=3)
    subject.base = subject.engine.load_base(subject.engine_options, device, torch.float32)
    result = {f"feature {name}": np.asarray(value) for name, value in subject.features[0].items()}
    model = _with_same_adapter(subject.model())
    assert {tensor.device.type for tensor in model.parameters()} == {device.type}
    batch = {name: tensor.to(device) for name, tensor in subject.batch.items()}
    torch.manual_seed(0)
    result |= _own_step(subject, model, batch) if subject.engine.has_training_step else _step(model, batch)
    learned = [p.grad for name, p in model.named_parameters() if "lora_" in name and p.grad is not None]
    assert learned
    assert {gradient.device.type for gradient in learned} == {device.type}
    result["gradient"] = torch.stack([gradient.square().sum() for gradient in learned]).cpu().numpy()
    model.zero_grad()
    model.eval()
    voice = {"base": subject.base, "model": model, "conditioning": subject.conditioning}
    result |= {f"conditioning {name}": value for name, value in subject.conditioning.tensors.items()}
    result["sound"] = sound_of(subject.speak("Hello there.", 1, **voice))
    return result


def _with_same_adapter(model: torch.nn.Module) -> torch.nn.Module:
    """Fill the adapter with the same numbers on every device: a network that is loaded to one draws others for it."""
    generator = torch.Generator().manual_seed(5)
    for name, parameter in sorted(model.named_parameters()):
        if "lora_" in name:
            noise = 0.05 * torch.randn(parameter.shape, generator=generator)
            parameter.data = noise.to(parameter.device, parameter.dtype)
    return model


def _step(model: Any, batch: Batch) -> dict[str, np.ndarray]:
    loss = model.train()(**batch)["loss"]
    loss.backward()
    return {"loss": loss.detach().cpu().numpy()}


def _own_step(subject: Subject, model: Any, batch: Batch) -> dict[str, np.ndarray]:
    """Make a step of an engine with parts and optimizers of its own."""
    engine, base = subject.engine, subject.base
    declared = engine.training_parts(base, model)
    parts = TrainingParts(model, {name: part.module for name, part in declared.items()}, base.device, "the parts")
    optimizers = engine.optimizers(base, model, parts.modules, dict.fromkeys(parts.modules, 1e-4))
    tensors = {name: [t for group in made.param_groups for t in group["params"]] for name, made in optimizers.items()}
    further = {id(tensor) for several in tensors.values() for tensor in several}
    tensors["main"] = [
        parameter
        for parameter in {**dict(model.named_parameters()), **parts.parameters()}.values()
        if parameter.requires_grad and id(parameter) not in further
    ]
    numbers = engine.training_step(base, model.train(), batch, OneStep(parts.modules, tensors))
    for made in optimizers.values():
        made.step()
    return {f"number {name}": number.cpu().numpy() for name, number in numbers.items()}


def differences(engine: str, options: dict[str, Any], folder: Path) -> list[str]:
    """Live on both devices; return the names of what differs by more than rounding."""
    with simulated_device() as (device, _):
        found = live(engine, options, folder / "gpu", device)
    expected = live(engine, options, folder / "cpu", torch.device("cpu"))
    assert found.keys() == expected.keys()
    assert len(expected["sound"])
    return [
        name
        for name, value in expected.items()
        if found[name].shape != value.shape or not np.allclose(found[name], value, rtol=1e-3, atol=1e-4)
    ]


if __name__ == "__main__":
    for number, chosen in enumerate(json.loads(sys.argv[3])):
        print(differences(sys.argv[1], chosen, Path(sys.argv[2]) / str(number)), flush=True)
