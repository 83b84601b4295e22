"""Building the network with its adapter."""

from __future__ import annotations

from collections.abc import Mapping

from vtune.errors import listed
from vtune.testing.rule import BrokenRule, require, rule
from vtune.testing.rules.loading import base_loads
from vtune.testing.subject import Subject
from vtune.training import guards
from vtune.types import TrainingPart

ATTACH = "Write vtune.attach_lora(network, lora, presets) on a new network: vtune.attach_lora freezes it."


def part_tensors(parts: Mapping[str, TrainingPart]) -> set[int]:
    """Return the identities of the tensors that are trained beside the adapter."""
    return {id(parameter) for part in parts.values() for parameter in part.module.parameters()}


@rule(
    why="Training, speaking and merging all begin with this model.",
    change=ATTACH,
    after=(base_loads,),
)
def adapter_is_built(subject: Subject) -> None:
    """build_lora_model returns a PeftModel with an adapter, in every call."""
    first = subject.model()
    require(guards.adapter_parameters(first), "The model of build_lora_model has no tensor of an adapter.")
    try:
        subject.model()
    except Exception as error:
        raise BrokenRule(
            f"The second call of build_lora_model fails: {str(error).rstrip('.')}.",
            "Make a new network in every call (a copy.deepcopy of a kept one will do), because PEFT changes it in "
            "place.",
        ) from error


@rule(
    why="Exactly the adapter is saved as the voice: what else is trained is lost, and the voice sounds otherwise.",
    change=ATTACH,
    after=(adapter_is_built,),
)
def adapter_alone_is_trainable(subject: Subject) -> None:
    """The adapter learns, with the parts that training_parts names; every other tensor is frozen."""
    model = subject.model()
    parts = part_tensors(subject.engine.training_parts(subject.base, model))
    adapter = guards.adapter_parameters(model)
    frozen = [name for name, parameter in adapter.items() if not parameter.requires_grad]
    require(not frozen, f"Tensors of the adapter are frozen: {listed(frozen)}.")
    strange = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and name not in adapter and id(parameter) not in parts
    ]
    require(
        not strange,
        f"Tensors of the base are trainable beside the adapter: {listed(strange)}.",
        "Freeze the base: network.requires_grad_(False) before vtune.attach_lora, and set no requires_grad after it.",
    )


@rule(
    why="vtune opens several voices at once; training or merging one of them would change the others.",
    change="Make a new network in every call (a copy.deepcopy of a kept one will do), because PEFT changes it in "
    "place.",
    after=(adapter_alone_is_trainable,),
)
def models_are_separate(subject: Subject) -> None:
    """Each call of build_lora_model returns a new adapter on a network of its own."""
    first, second = subject.model(), subject.model()
    kept = {id(parameter) for parameter in first.parameters()}
    shared = [name for name, parameter in second.named_parameters() if id(parameter) in kept]
    require(not shared, f"Two models have tensors in common: {listed(shared)}.")
    places = {parameter.data_ptr() for parameter in first.parameters() if parameter.numel()}
    shared = [name for name, p in second.named_parameters() if p.numel() and p.data_ptr() in places]
    require(not shared, f"Two models have the memory of tensors in common: {listed(shared)}.")
