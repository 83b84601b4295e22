"""The adapter: what it changes, what learns, and what training leaves alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vtune.errors import VtuneError, in_a_line, listed
from vtune.testing.rule import BrokenRule, NotApplicable, require, rule
from vtune.testing.rules.losses import validation_loss_repeats
from vtune.testing.rules.network import ATTACH, adapter_alone_is_trainable, part_tensors
from vtune.testing.subject import Subject
from vtune.testing.watch import seed_everything
from vtune.training import guards
from vtune.types import LoraSettings
from vtune.voice_format.weights import load_weights, save_weights

if TYPE_CHECKING:
    from torch import nn


def answers(model: nn.Module, subject: Subject) -> torch.Tensor:
    """Return what the model answers for the batch of all clips: logits, or the loss."""
    return guards.probe_logits(model, subject.batch)


@rule(
    why="Training would begin from something other than the pretrained network.",
    change="Leave the adapter as vtune.attach_lora makes it: its second half is zero.",
    after=(adapter_alone_is_trainable, validation_loss_repeats),
)
def new_adapter_changes_nothing(subject: Subject) -> None:
    """A new adapter changes nothing: the network answers as without it."""
    model = subject.model()
    tuned = answers(model, subject)
    with model.disable_adapter():  # type: ignore[operator] # a PeftModel, by contract
        base = answers(model, subject)
    difference = float((tuned - base).abs().max())
    require(difference == 0, f"A new adapter changes what the network answers, by up to {difference:.3g}.")


@rule(
    why="vtune compares every voice with its base; an adapter that cannot be switched off makes both the same.",
    change="Compute everything through the model that build_lora_model returns; keep no copy of its layers, and no "
    "result, from before the adapter was attached or switched.",
    after=(new_adapter_changes_nothing,),
)
def adapter_can_be_switched_off(subject: Subject) -> None:
    """Within disable_adapter(), the network answers as the base does; outside of it, as the voice does."""
    base = answers(subject.model(), subject)
    model = subject.model(awake=0.3)
    awake = answers(model, subject)
    require(
        not torch.equal(awake, base),
        "With random numbers in the adapter, the network answers exactly as without: nothing that the loss is computed "
        "from passes through the adapter.",
        "Attach the adapter to the layers that forward uses, and call those (self.layer(x)) instead of their weights.",
    )
    with model.disable_adapter():  # type: ignore[operator] # a PeftModel, by contract
        off = answers(model, subject)
    difference = float((off - base).abs().max())
    require(
        difference == 0, f"Within disable_adapter(), the network answers otherwise than the base, by {difference:.3g}."
    )


@rule(
    why="The voice that is opened would be another one than the voice that was trained.",
    change="Give a new model the same layers in every call of build_lora_model, and leave PEFT's own files as they "
    "are.",
    after=(adapter_can_be_switched_off,),
)
def adapter_comes_back(subject: Subject) -> None:
    """An adapter that is saved and loaded into a new model answers as before."""
    model = subject.model(awake=0.3)
    before = answers(model, subject)
    folder = subject.new_folder("adapter")
    save_weights(model, folder)
    reloaded = subject.model()
    try:
        load_weights(reloaded, folder)
    except VtuneError as error:
        raise BrokenRule(f"An adapter that was saved cannot be loaded into a new model: {in_a_line(error)}.") from error
    after = answers(reloaded, subject)
    require(
        torch.equal(before, after),
        f"The reloaded adapter answers differently, by up to {float((before - after).abs().max()):.3g}.",
    )


@rule(
    why="A recipe's `lora.rank` and `lora.targets` would do nothing, and the plan and the card would state the numbers "
    "of another adapter.",
    change=ATTACH,
    after=(adapter_comes_back,),
)
def adapter_follows_the_settings(subject: Subject) -> None:
    """Another rank or another preset of layers gives another adapter."""
    info = subject.info

    def shapes(settings: LoraSettings) -> dict[str, list[int]]:
        model = subject.engine.build_lora_model(subject.base, settings)
        return {name: list(tensor.shape) for name, tensor in guards.adapter_parameters(model).items()}

    usual = shapes(info.lora)
    rank = info.lora.rank + 1
    require(
        shapes(replace(info.lora, rank=rank)) != usual,
        f"With rank {rank} in place of {info.lora.rank}, build_lora_model makes an adapter of the same shapes.",
    )
    targets = {layer for name in info.lora.targets for layer in info.lora_targets.get(name, (name,))}
    for name, layers in info.lora_targets.items():
        require(
            set(layers) == targets or shapes(replace(info.lora, targets=(name,))) != usual,
            f"With the preset {name!r} in place of {', '.join(info.lora.targets)}, build_lora_model adapts the same "
            "layers.",
        )


@rule(
    why="A tensor without a gradient is never trained: the voice learns less than its recipe says, without a word.",
    change="Take layers that the loss does not depend on out of lora_targets, and call the layers themselves: "
    "self.layer(x), not self.layer.weight.",
    after=(adapter_can_be_switched_off,),
)
def gradients_reach_the_adapter(subject: Subject) -> None:
    """Within two steps, every tensor of the adapter gets a gradient."""
    model = subject.model()
    silent = _silent_tensors(model, subject)
    require(
        not silent,
        f"{len(silent)} of {len(guards.adapter_parameters(model))} tensors of the adapter never had a gradient: "
        f"{listed(silent)}.",
    )


def _silent_tensors(model: nn.Module, subject: Subject) -> list[str]:
    parameters = guards.adapter_parameters(model)
    optimizer = torch.optim.SGD(parameters.values(), lr=0.1)
    silent = set(parameters)
    model.train()
    for step in range(2):
        seed_everything(step)
        model(**subject.batch)["loss"].backward()
        silent -= {name for name, p in parameters.items() if p.grad is not None and bool(p.grad.count_nonzero())}
        optimizer.step()
        optimizer.zero_grad()
    return sorted(silent)


@rule(
    why="A recipe with gradient checkpointing, which vtune chooses by itself when memory is short, would train less.",
    change="Use torch.utils.checkpoint.checkpoint(..., use_reentrant=False), and let checkpointing change no result.",
    after=(gradients_reach_the_adapter,),
)
def gradients_survive_checkpointing(subject: Subject) -> None:
    """With gradient checkpointing, the adapter gets the same gradients."""
    model = subject.model(awake=0.1)
    network = model.get_base_model()  # type: ignore[operator] # a PeftModel, by contract
    enable = next(
        (getattr(network, name) for name in _CHECKPOINTING if callable(getattr(network, name, None))),
        None,
    )
    if enable is None or not getattr(network, "supports_gradient_checkpointing", True):
        raise NotApplicable("the network has no gradient checkpointing")
    usual = _gradients(model, subject)
    enable(**{f"{enable.__name__.removesuffix('_enable')}_kwargs": {"use_reentrant": False}})
    checkpointed = _gradients(model, subject)
    for name, gradient in usual.items():
        other = checkpointed.get(name)
        require(other is not None, f"With gradient checkpointing, {name} has no gradient.")
        largest = float(gradient.abs().max())
        difference = float((gradient - other).abs().max()) if other is not None else 0.0
        require(
            difference <= 1e-3 * largest + 1e-7,
            f"With gradient checkpointing, the gradient of {name} differs by {difference:.2g} of {largest:.2g}.",
        )


_CHECKPOINTING = ("activation_checkpointing_enable", "gradient_checkpointing_enable")


def _gradients(model: nn.Module, subject: Subject) -> dict[str, torch.Tensor]:
    model.train()
    model.zero_grad(set_to_none=True)
    seed_everything(0)
    model(**subject.batch)["loss"].backward()
    parameters = guards.adapter_parameters(model)
    return {name: p.grad.clone() for name, p in parameters.items() if p.grad is not None}


@rule(
    why="What training changes outside of the adapter is not saved, so the voice that is opened is another one.",
    change="Keep no state in the network while it trains: no running mean (nn.BatchNorm with "
    "track_running_stats=False, "
    "or in eval mode), no cache, no counter in a buffer.",
    after=(gradients_reach_the_adapter,),
)
def training_leaves_the_base_alone(subject: Subject) -> None:
    """Two training steps change the adapter, and no weight and no buffer of the base."""
    model = subject.model()
    parts = part_tensors(subject.engine.training_parts(subject.base, model))
    adapter = set(guards.adapter_parameters(model))

    def state() -> dict[str, torch.Tensor]:
        tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        return {name: t.detach() for name, t in tensors.items() if name not in adapter and id(t) not in parts}

    before = {name: tensor.clone() for name, tensor in state().items()}
    model.eval()
    first = _eval_loss(model, subject)
    _silent_tensors(model, subject)
    changed = [name for name, tensor in state().items() if name not in before or not _equal(before[name], tensor)]
    require(not changed, f"Two training steps changed {listed(changed)}, outside of the adapter.")
    with model.disable_adapter():  # type: ignore[operator] # a PeftModel, by contract
        model.eval()
        again = _eval_loss(model, subject)
    require(
        abs(first - again) <= 1e-5 * max(1.0, abs(first)),
        f"After two training steps the base itself, with the adapter off, has the loss {again:.5f}, before them "
        f"{first:.5f}.",
    )


def _equal(first: torch.Tensor, second: torch.Tensor) -> bool:
    return first.shape == second.shape and np.array_equal(
        first.float().cpu().numpy(), second.float().cpu().numpy(), equal_nan=True
    )


def _eval_loss(model: nn.Module, subject: Subject) -> float:
    with torch.no_grad():
        return float(model(**subject.batch)["loss"])


@rule(
    why="A part that cannot learn costs memory for nothing; one that is also a part of the base is lost with the run.",
    change="Return vtune.TrainingPart(module) for modules that the losses depend on, each tensor in one part only.",
    after=(adapter_alone_is_trainable,),
)
def training_parts_are_separate(subject: Subject) -> None:
    """The parts beside the adapter have tensors of their own, which no other part and no adapter has."""
    model = subject.model()
    parts = subject.engine.training_parts(subject.base, model)
    if not parts:
        raise NotApplicable("the engine trains nothing beside the adapter")
    adapter = {id(parameter) for parameter in guards.adapter_parameters(model).values()}
    owners: dict[int, str] = {}
    for name, part in parts.items():
        tensors = list(part.module.parameters())
        require(tensors, f"The part {name!r} has no tensors.")
        for tensor in tensors:
            require(id(tensor) not in adapter, f"The part {name!r} holds a tensor of the adapter.")
            owner = owners.setdefault(id(tensor), name)
            require(owner == name, f"The parts {owner!r} and {name!r} share a tensor.")


@rule(
    why="`train.method: full` is how a new language is taught; it would fail at its first step.",
    change="Let the network work without PEFT around it, or leave 'full' out of EngineInfo.supports.",
    after=(gradients_reach_the_adapter,),
)
def whole_network_can_be_trained(subject: Subject) -> None:
    """If the engine supports it, the whole network can be trained without an adapter."""
    subject.require_support("full")
    torch.manual_seed(subject.seed)
    model: Any = subject.engine.build_model(subject.new_base(), subject.info.lora, "full").train()
    model(**subject.batch)["loss"].backward()
    require(
        any(p.grad is not None and bool(p.grad.count_nonzero()) for p in model.parameters()),
        "With all weights trainable, no weight gets a gradient.",
    )
