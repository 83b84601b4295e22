"""Check that the training changes the network: a training that teaches nothing becomes an error that names the tensors.

A known trainer updates 4 of its 96 LoRA tensors and reports success; each guard here excludes one way to do that.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.utils import get_peft_model_state_dict
from torch import nn
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from vtune.errors import TrainingError
from vtune.training.divided_tensors import in_any_process, piece
from vtune.training.parts import TrainingParts
from vtune.types import Batch

MAX_NAMES = 6
"""Tensors that an error names."""

MAX_POSITIONS = 64
"""Positions whose logits are compared: at 3B all logits of two clips of 13 s would take 1.4 GB, three times."""

FROZEN_TENSORS = "vtune_frozen_tensors"
"""Attribute of a network without an adapter that has the names of its tensors that are not trained."""

_MERGE_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.03}


def adapter_parameters(model: nn.Module, parts: TrainingParts | None = None) -> dict[str, nn.Parameter]:
    """Return the tensors that are trained and become the voice, by name: those of the adapter, or of a whole network.

    :param parts: that are trained beside them. Of a network without an adapter, their tensors are left out, and those
        that ``train.frozen`` names.
    """
    if isinstance(model, PeftModel):
        copies = ".modules_to_save."
        return {name: p for name, p in model.named_parameters() if "lora_" in name or copies in name}
    of_parts = {id(parameter) for parameter in parts.parameters().values()} if parts else ()
    frozen: frozenset[str] = getattr(model, FROZEN_TENSORS, frozenset())
    return {name: p for name, p in model.named_parameters() if id(p) not in of_parts and name not in frozen}


def trained_part(model: nn.Module) -> str:
    """Name what is trained, for messages: the adapter, or the whole network."""
    return "adapter" if isinstance(model, PeftModel) else "network"


def check_trainable(
    model: nn.Module, parts: TrainingParts | None = None, frozen: Collection[str] = frozenset()
) -> None:
    """Check before the first step that exactly the adapter and the declared parts are trainable.

    :param frozen: tensors of the adapter, or of the network without an adapter, that the recipe keeps as they are.
    :raises TrainingError: names the tensors that are frozen, or trainable beside the adapter and the parts.
    """
    adapter = adapter_parameters(model, parts)
    if not adapter:
        raise TrainingError(
            "the model has no tensors to train: build_lora_model returned an adapter without LoRA tensors"
            if isinstance(model, PeftModel)
            else "the model has no tensors to train: build_lora_model returned a network without parameters"
        )
    still = [name for name, parameter in adapter.items() if name not in frozen and not parameter.requires_grad]
    if still:
        raise TrainingError(
            f"{len(still)} of {len(adapter)} tensors that should learn are frozen: {_some(still)}; "
            f"the engine must leave requires_grad on for the whole {trained_part(model)}"
        )
    if isinstance(model, PeftModel):
        expected = {id(p) for p in (*adapter.values(), *(parts.parameters().values() if parts else ()))}
        unfrozen = [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in expected]
        if unfrozen:
            raise TrainingError(
                f"{len(unfrozen)} tensors of the base are trainable beside the adapter: {_some(unfrozen)}; "
                "the engine must freeze the base, and declare in training_parts what else it trains"
            )


class GradientCheck:
    """Checks in the first steps of an optimizer that each of its tensors gets a gradient other than zero.

    A fresh LoRA pair ``B A`` starts with ``B = 0``, so ``A`` has a gradient of exactly zero until ``B`` has moved,
    and warm-up may make the first move zero. So a missing gradient fails at the first step; a zero one fails once a
    step with a learning rate has been made since training began. A step whose gradients overflowed, as the first ones
    in fp16 often do, is none: the scaler of the losses leaves it out, and clipping has set its other gradients to zero.
    """

    def __init__(self) -> None:
        self._silent: list[str] | None = None
        self._moved = False

    @property
    def has_begun(self) -> bool:
        """Whether gradients have ever been checked."""
        return self._silent is not None

    def seen(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: the tensors that are still without a gradient."""
        return {"_silent": self._silent, "_moved": self._moved}

    def restore(self, seen: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint has kept."""
        vars(self).update(seen)

    @property
    def is_done(self) -> bool:
        """Whether every tensor has had a gradient."""
        return self._silent is not None and not self._silent

    def check(self, parameters: Mapping[str, nn.Parameter], optimizer: Any) -> None:
        """Check the gradients before the optimizer uses and clears them.

        :param parameters: the tensors of the optimizer by name.
        :raises TrainingError: names the tensors that do not learn.
        """
        if self._silent is None:
            self._silent = sorted(parameters)
            without = [name for name, parameter in parameters.items() if parameter.grad is None]
            if without:
                raise TrainingError(
                    f"{len(without)} of {len(parameters)} tensors had no gradient in the first step: "
                    f"{_some(without)}; they are not part of what the loss is computed from"
                )
        tensors = list(parameters.values())
        if any(in_any_process([any(map(_is_overflown, tensors))], tensors)):
            return
        with_gradient = in_any_process([_has_gradient(parameters[name]) for name in self._silent], tensors)
        self._silent = [
            name for name, has_gradient in zip(self._silent, with_gradient, strict=True) if not has_gradient
        ]
        if self._silent and self._moved:
            raise TrainingError(
                f"{len(self._silent)} of {len(parameters)} tensors have had a gradient of zero since the first step: "
                f"{_some(self._silent)}; something between them and the loss cuts the gradient"
            )
        self._moved = self._moved or any(group["lr"] > 0 for group in optimizer.param_groups)


class GradientGuard(GradientCheck, TrainerCallback, ExportableState):  # type: ignore[misc] # transformers is not typed
    """Checks the gradients of the recipe's optimizer.

    :param parameters: returns the tensors of this optimizer by name, as they are after a framework has replaced them.
    """

    def __init__(self, parameters: Callable[[], Mapping[str, nn.Parameter]] | None = None) -> None:
        super().__init__()
        if parameters is not None:  # a guard that only carries a checkpoint's state has none
            self._parameters = parameters

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, as transformers wants it."""
        return {"args": {}, "attributes": self.seen()}

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Check the gradients before the optimizer uses and clears them."""
        if not self.is_done:
            self.check(self._parameters(), kwargs["optimizer"])


class BufferGuard(TrainerCallback):  # type: ignore[misc] # transformers is not typed for us
    """Checks in the first step that no buffer of the base changes, such as the running mean of a batch normalisation.

    An adapter does not contain such buffers: the voice would compute with those of the base, and so would
    a resumed training.
    """

    def __init__(self, model: nn.Module, parts: TrainingParts) -> None:
        self._model, self._parts = model, parts
        self._before: dict[str, torch.Tensor] | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep the buffers as the base has them."""
        if isinstance(self._model, PeftModel):
            self._before = {name: buffer.clone() for name, buffer in self._buffers().items()}

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Compare the buffers once. :raises TrainingError: names those that have changed."""
        if self._before is None:
            return
        now = self._buffers()
        changed = [name for name, kept in self._before.items() if name in now and not torch.equal(kept, now[name])]
        self._before = None
        if changed:
            raise TrainingError(
                f"{len(changed)} buffers of the base changed in the first step: {_some(changed)}; the adapter does not "
                "contain them, so the voice would not be what was trained. The engine must keep their modules in eval "
                "mode (a batch normalisation is one), or declare them in training_parts"
            )

    def _buffers(self) -> dict[str, torch.Tensor]:
        kept, of_parts = self._model.state_dict().keys(), {id(buffer) for buffer in self._parts.buffers()}
        return {name: b for name, b in self._model.named_buffers() if name in kept and id(b) not in of_parts}


def check_adapter_speaks(model: nn.Module, batch: Batch, tuned: torch.Tensor | None = None) -> float:
    """Check after training that the logits with the adapter differ from those without it.

    :param tuned: the result of ``probe_logits``, if it is known: a pass through 3B on a CPU takes a minute.
    :returns: the largest difference of the logits (of the loss, for a model that returns none).
    :raises TrainingError: the logits are the same (names the tensors that are still zero), or are no numbers.
    """
    if not isinstance(model, PeftModel):
        return float("nan")
    tuned = probe_logits(model, batch) if tuned is None else tuned
    with model.disable_adapter():
        base = probe_logits(model, batch)
    difference = float((tuned - base).abs().max())
    if not math.isfinite(difference):
        raise TrainingError(
            "the trained adapter computes no numbers (NaN or infinity); lower train.learning_rate, "
            "or use precision bf16 or fp32 instead of fp16"
        )
    if difference > 0:
        return difference
    zero = [name for name, p in adapter_parameters(model).items() if "lora_B" in name and not p.detach().any()]
    which = f"; still zero: {_some(zero)}" if zero else ""
    raise TrainingError(
        f"the trained adapter changes nothing: the model computes the same with and without it{which}; "
        "train longer, raise train.learning_rate, or look for targets that the network does not use"
    )


def check_reloads(model: nn.Module, folder: Path, batch: Batch, tuned: torch.Tensor | None = None) -> None:
    """Check after saving that ``folder`` holds what is in memory: the same tensors, and the same logits.

    :param tuned: as for ``check_adapter_speaks``.
    :raises TrainingError: names the tensors that differ.
    """
    if not isinstance(model, PeftModel):
        _check_weights(model, folder / "model.safetensors")
        return
    from safetensors.torch import load_file

    kept = load_file(str(folder / "adapter_model.safetensors"))
    _compare({name: tensor.cpu() for name, tensor in get_peft_model_state_dict(model).items()}, kept, folder)
    before = probe_logits(model, batch) if tuned is None else tuned
    model.load_adapter(str(folder), adapter_name="reloaded", is_trainable=False)
    try:
        model.set_adapter("reloaded")
        after = probe_logits(model, batch)
    finally:
        model.set_adapter("default")
        model.delete_adapter("reloaded")
    if not torch.equal(before, after):
        difference = float((before - after).abs().max())
        raise TrainingError(
            f"the adapter reloaded from {folder} gives other logits than the one in memory (by {difference:.3g}); "
            "its adapter_config.json does not describe it"
        )


def check_merge(model: nn.Module, batch: Batch, tuned: torch.Tensor | None = None) -> float | None:
    """Check after training that merging the adapter into the base changes the logits by no more than rounding.

    :param tuned: as for ``check_adapter_speaks``.
    :returns: the difference, as ``compare_answers``; None for a network without an adapter, and for a quantised base,
        into which nothing can be merged without loss.
    :raises TrainingError: the difference is larger than rounding.
    """
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    if not isinstance(model, PeftModel) or not layers or is_quantised(model):
        return None
    beside = probe_logits(model, batch) if tuned is None else tuned
    with merged_in_passing(model):
        merged = probe_logits(model, batch)
    dtype = layers[0].get_base_layer().weight.dtype
    return compare_answers(beside, merged, _MERGE_TOLERANCE.get(dtype, 0.1))


def is_quantised(model: nn.Module) -> bool:
    """Tell whether a model stores weights in fewer bits than it multiplies them in."""
    return any(hasattr(p, "quant_state") or not p.is_floating_point() for p in model.parameters())


@contextmanager
def merged_in_passing(model: nn.Module) -> Iterator[None]:
    """Let a model compute as if its adapter were merged into its base, in the memory of one layer.

    Each adapted layer gets copies of its own weights when it is called, PEFT merges the adapter into the copies, and
    after the call the copies are freed: no weight of the base is changed, and the logits are those of a merged network.
    """
    handles = []
    for layer in [module for module in model.modules() if isinstance(module, LoraLayer)]:
        passing = _MergedCall()
        handles.append(layer.register_forward_pre_hook(passing.enter))
        handles.append(layer.register_forward_hook(passing.leave, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _MergedCall:
    """Holds the weights of one adapted layer while the layer computes with merged copies of them."""

    def __init__(self) -> None:
        self._kept: list[tuple[nn.Module, str, nn.Parameter]] = []

    def enter(self, layer: Any, _: Any) -> None:
        modules = list(layer.get_base_layer().modules())
        self._kept = [(module, name, p) for module in modules for name, p in module.named_parameters(recurse=False)]
        for module, name, parameter in self._kept:
            setattr(module, name, nn.Parameter(parameter.detach().clone(), requires_grad=False))
        with torch.autocast(self._kept[0][2].device.type, enabled=False):  # it would narrow what is added
            layer.merge()

    def leave(self, layer: Any, *_: Any) -> None:
        if layer.merged:
            layer.unmerge()  # the copies, because PEFT notes that it has merged
        for module, name, parameter in self._kept:
            setattr(module, name, parameter)
        self._kept = []


def compare_answers(beside: torch.Tensor, merged: torch.Tensor, tolerance: float) -> float:
    """Check that the logits of a merged network differ from those of the adapter by no more than a tolerance.

    :param beside: logits with the adapter beside the base.
    :param tolerance: largest difference that is allowed, as a share of the largest logit.
    :returns: the difference, as a share of the largest logit.
    :raises TrainingError: the difference is larger.
    """
    difference = float((merged - beside).abs().max() / beside.abs().max().clamp(min=1e-9))
    if not difference <= tolerance:  # NaN is not within the tolerance
        raise TrainingError(
            f"merging the adapter into the base changes the logits by {difference:.2e} of the largest one "
            f"(allowed {tolerance:.0e}); keep the adapter unmerged, or merge in a wider dtype"
        )
    return difference


@torch.no_grad()
def probe_logits(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Compute the float32 logits of a batch in eval mode, or its loss if the model returns no logits.

    The batch is given without labels where the model allows that, because a model may drop its logits once it has a
    loss. A model that takes ``logits_to_keep`` computes only those of ``probe_positions``.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in batch.items()}
    unlabelled = {name: tensor for name, tensor in inputs.items() if name != "labels"}
    positions = probe_positions(model, batch)
    if positions is not None:
        unlabelled["logits_to_keep"] = positions.to(device)
    try:
        with _autocast(model, device):
            logits = model(**unlabelled).get("logits") if _takes(model, "labels") else None
            output = model(**inputs) if logits is None else {"logits": logits}
    finally:
        model.train(was_training)
    result: torch.Tensor = output["loss"] if output.get("logits") is None else output["logits"]
    return result.float().cpu()


def probe_positions(model: nn.Module, batch: Batch) -> torch.Tensor | None:
    """Choose the positions of a batch ``[B, L]`` whose logits ``probe_logits`` computes, int64 ``[P]``: labelled ones.

    :returns: None for a model that always computes all of its logits.
    """
    if not _takes(model, "logits_to_keep") or not _takes(model, "labels"):
        return None
    labels = batch.get("labels")
    length = next(iter(batch.values())).shape[1]
    positions = torch.arange(length)
    if labels is not None and bool(labels.ne(-100).any()):
        positions = positions[labels.cpu().ne(-100).any(0)]
    chosen = torch.linspace(0, len(positions) - 1, min(len(positions), MAX_POSITIONS)).round().long()
    return positions[chosen]


def _takes(model: nn.Module, name: str) -> bool:
    """Tell whether a model's forward has an optional argument of this name."""
    network = model.get_base_model() if isinstance(model, PeftModel) else model
    argument = inspect.signature(network.forward).parameters.get(name)
    return argument is not None and argument.default is not inspect.Parameter.empty


def _autocast(model: nn.Module, device: torch.device) -> AbstractContextManager[Any]:
    # A half-precision base with float32 LoRA tensors needs the same autocast that training had.
    dtypes = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
    half = dtypes & {torch.bfloat16, torch.float16}
    return torch.autocast(device.type, dtype=next(iter(half))) if half else nullcontext()


def _check_weights(model: nn.Module, path: Path) -> None:
    from safetensors import safe_open

    state = model.state_dict()
    with safe_open(str(path), framework="pt") as file:
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- not a dict
    # Tied tensors are stored once, under one of their names.
    _compare({name: state[name].cpu() for name in kept if name in state}, kept, path.parent)


def _compare(memory: dict[str, torch.Tensor], kept: dict[str, torch.Tensor], folder: Path) -> None:
    differ = sorted(
        name
        for name in memory.keys() | kept.keys()
        if name not in memory or name not in kept or not torch.equal(memory[name], kept[name])
    )
    if differ:
        raise TrainingError(f"{folder}: {len(differ)} tensors on disk are not those in memory: {_some(differ)}")


def _has_gradient(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None and bool(piece(parameter.grad).count_nonzero())


def _is_overflown(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None and not bool(piece(parameter.grad).isfinite().all())


def _some(names: Iterable[str] | Sequence[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - MAX_NAMES} more" if len(listed) > MAX_NAMES else ""
    return ", ".join(listed[:MAX_NAMES]) + more
