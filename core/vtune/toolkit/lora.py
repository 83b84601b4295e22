"""Attach LoRA adapters to a network, and count what they train.

Presets and patterns are turned into modules. A pattern that matches no module is an error that lists the modules.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from vtune.errors import TrainingError, in_a_line, listed, nearest, shown
from vtune.toolkit.rank_patterns import module_scales
from vtune.toolkit.target_patterns import match_patterns
from vtune.types import LoraSettings

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from torch import nn


def attach_lora(
    network: nn.Module,
    lora: LoraSettings,
    presets: Mapping[str, tuple[str, ...]],
    task_type: str | None = None,
) -> PeftModel:
    """Return ``network`` inside a new PeftModel with one new adapter.

    :param presets: ``EngineInfo.lora_targets``.
    :param task_type: PEFT's task type, ``"CAUSAL_LM"`` for language models of transformers.
    :raises TrainingError: the network has an adapter already, a target or an argument matches no module (lists the
        modules), or PEFT refuses an argument.
    """
    from peft import get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    if any(isinstance(module, BaseTunerLayer) for module in network.modules()):
        raise TrainingError("the network has an adapter already; load the base again")
    with _peft_errors():
        return get_peft_model(network, _config(network, lora, presets, task_type))


def add_lora(model: PeftModel, name: str, lora: LoraSettings, presets: Mapping[str, tuple[str, ...]]) -> None:
    """Add one more new adapter to a network that has adapters; the active adapter stays the same.

    :param name: name of the adapter, without a dot.
    :param presets: as for ``attach_lora``, which made the model.
    :raises TrainingError: as for ``attach_lora``.
    """
    task_type = next(iter(model.peft_config.values())).task_type
    with _peft_errors():
        model.add_adapter(name, _config(model.get_base_model(), lora, presets, task_type))


@dataclass(frozen=True, slots=True)
class AdapterSize:
    """Size of an adapter, counted in parameters and in numbers that it keeps in memory.

    :param parameters: number of parameters that are trained, in ``tensors`` tensors.
    :param modules: adapted modules by name, each with its number of inputs and of outputs.
    :param token_numbers: numbers that the backward pass keeps for each token, beside the input of each module: DoRA
        keeps the output of the module and the output of its update.
    :param pass_numbers: numbers that the largest adapted module needs for a moment: DoRA multiplies out the update of
        each weight, to take the norm of their sum.
    """

    parameters: int
    tensors: int
    modules: Mapping[str, tuple[int, int]]
    token_numbers: int = 0
    pass_numbers: int = 0


def adapter_size(network: nn.Module, lora: LoraSettings, presets: Mapping[str, tuple[str, ...]]) -> AdapterSize:
    """Count the parameters that ``attach_lora`` trains, by attaching an adapter without memory; 200 modules take 0.5 s.

    :param network: on the device ``meta``; it has the adapter afterwards.
    :raises TrainingError: as for ``attach_lora``.
    """
    import torch
    from peft.tuners.lora import LoraLayer

    # The initial values of an adapter do not change its size, and computing them takes most of the time.
    arguments = {**lora.arguments, "init_lora_weights": False}
    with torch.device("meta"):  # else PEFT would fill the adapter's memory before it moves the adapter to the network
        model = attach_lora(network, replace(lora, arguments=arguments), presets)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    modules = {
        name.removeprefix("base_model.model."): (module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer)
    }
    dora = bool(arguments.get("use_dora"))
    return AdapterSize(
        parameters=sum(parameter.numel() for parameter in trained),
        tensors=len(trained),
        modules=modules,
        token_numbers=sum(2 * outputs for _, outputs in modules.values()) if dora else 0,
        # An identity of the inputs, the update, the weight beside it and their sum.
        pass_numbers=max(inputs * (inputs + 3 * outputs) for inputs, outputs in modules.values()) if dora else 0,
    )


@contextmanager
def _peft_errors() -> Iterator[None]:
    """Turn PEFT's refusals into one line, and hide a warning that needs no action."""
    with warnings.catch_warnings():
        # GPT-2's Conv1D stores weights transposed; PEFT corrects its setting itself and warns each time.
        warnings.filterwarnings("ignore", message="fan_in_fan_out")
        try:
            yield
        except (ValueError, TypeError, NotImplementedError) as error:
            raise TrainingError(f"lora: PEFT refuses this adapter: {in_a_line(error)}") from error


def _config(
    network: nn.Module, lora: LoraSettings, presets: Mapping[str, tuple[str, ...]], task_type: str | None
) -> LoraConfig:
    from peft import LoraConfig
    from peft.tuners.tuners_utils import check_target_module_exists

    _require_modules(network, lora.modules_to_save)
    names = list(_adaptable_names(network))
    arguments = lora.arguments
    targets = match_targets(network, lora.targets, presets)
    if arguments.get("layers_to_transform") is not None:
        # PEFT adapts a target that is a full name in any layer, and regular expressions become full names.
        targets = [target for target in targets if target not in names or _in_layers(target, arguments)]
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha if lora.alpha != int(lora.alpha) else int(lora.alpha),
        lora_dropout=lora.dropout,
        use_rslora=lora.rslora,
        target_modules=targets,
        modules_to_save=list(lora.modules_to_save) or None,
        task_type=task_type,
        **arguments,
    )
    adapted = [name for name in names if check_target_module_exists(config, name)]
    _require_effect(network, lora, names, adapted)
    # A target without any adapted module would be in adapter_config.json, but have no tensor in the file.
    config.target_modules = {target for target in targets if any(target in _ends(name) for name in adapted)}
    return config


def _require_modules(network: nn.Module, modules_to_save: Sequence[str]) -> None:
    """Require that each entry of ``modules_to_save`` is the end of a module's name.

    PEFT also matches the entries as regular expressions, and one from a stranger's voice could run for ever.

    :raises TrainingError: names the entry.
    """
    names = [name for name, _ in network.named_modules()]
    for entry in modules_to_save:
        if not entry or not any(name.endswith(entry) for name in names):
            hint = nearest(entry, {name.rpartition(".")[2] for name in names})
            raise TrainingError(f"lora.modules_to_save: {shown(entry)} matches no module{hint}; write ends of names")


def _require_effect(network: nn.Module, lora: LoraSettings, names: list[str], adapted: list[str]) -> None:
    """Require that every argument that names modules matches some. :raises TrainingError: names the argument."""
    arguments = lora.arguments
    ends = {end for name in names for end in _ends(name)}
    for excluded in arguments.get("exclude_modules", ()):
        if excluded not in ends:
            hint = nearest(excluded, ends)
            raise TrainingError(f"lora.arguments.exclude_modules: {shown(excluded)} matches no module{hint}")
    for layer in arguments.get("layers_to_transform") or ():
        if not any(_in_layers(name, {**arguments, "layers_to_transform": [layer]}) for name in names):
            raise TrainingError(f"lora.arguments.layers_to_transform: the network has no layer {layer}")
    if not adapted:
        raise TrainingError(
            "lora: the arguments leave no module to adapt; change exclude_modules or layers_to_transform"
        )
    module_scales(lora, adapted)
    if arguments.get("lora_bias"):
        without = [name for name in adapted if getattr(_inner(network.get_submodule(name)), "bias", None) is None]
        if without:
            raise TrainingError(
                f"lora.arguments.lora_bias: {listed(without)} have no bias, so the adapter's bias could not be merged; "
                "leave lora_bias out, or exclude these modules"
            )


def _in_layers(name: str, arguments: Mapping[str, Any]) -> bool:
    """Tell whether a module is in one of ``layers_to_transform``, as PEFT counts layers."""
    from peft.tuners.tuners_utils import check_target_module_exists

    end = name.partition(".")[2]
    layers, pattern = arguments["layers_to_transform"], arguments.get("layers_pattern")
    asked = SimpleNamespace(target_modules=[end], layers_to_transform=layers, layers_pattern=pattern)
    return bool(end) and bool(check_target_module_exists(asked, name))


def _inner(module: Any) -> Any:
    return getattr(module, "base_layer", module)


def match_targets(network: nn.Module, targets: tuple[str, ...], presets: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the value of ``LoraConfig.target_modules``: names of modules, or ends of names.

    Ends of names stay as they are written, because servers read them; regular expressions become full names.

    :raises TrainingError: a target matches no module.
    """
    names = list(_adaptable_names(network))
    ends = {end for name in names for end in _ends(name)}
    patterns = [pattern for target in targets for pattern in presets.get(target, (target,))]
    # The engine's own expressions are trusted; other expressions may come from a stranger's voice.
    strange = [target for target in targets if target not in presets and target not in ends]
    matches = match_patterns(strange, names)
    chosen: dict[str, None] = {}
    problems = []
    for pattern in patterns:
        if pattern in ends:
            chosen[pattern] = None
            continue
        matched = matches[pattern] if pattern in matches else [name for name in names if re.fullmatch(pattern, name)]
        if not matched:
            problems.append(pattern)
        chosen.update(dict.fromkeys(matched))
    if problems:
        raise TrainingError(_no_match(problems, list(chosen), names, presets))
    return list(chosen)


def _adaptable_names(network: nn.Module) -> Iterator[str]:
    """Yield the names of all modules that an adapter can adapt; adapters that are there already do not change them."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    kinds = nn.Linear | nn.Embedding | nn.Conv1d | nn.Conv2d | Conv1D
    inside: tuple[str, ...] = ()
    for name, module in network.named_modules():
        if inside and name.startswith(inside):
            continue
        if isinstance(module, BaseTunerLayer):
            inside = (f"{name}.",)
            module = module.get_base_layer()
        if isinstance(module, kinds):
            yield name


def _ends(name: str) -> Iterator[str]:
    """Yield the ends of a dotted name: ``a.b.c``, ``b.c`` and ``c``."""
    parts = name.split(".")
    return (".".join(parts[start:]) for start in range(len(parts)))


def _no_match(problems: list[str], matched: list[str], names: list[str], presets: Mapping[str, Any]) -> str:
    ends = Counter(name.rsplit(".", 1)[-1] for name in names)
    there = [f"{end} ({count})" for end, count in ends.most_common()]
    hint = nearest(problems[0], [*ends, *presets])
    also = f"; matched: {listed(matched)}" if matched else ""
    return (
        f"lora.targets: {listed(map(shown, problems))} matches no module{hint}{also}; "
        f"presets: {listed(presets)}; modules of this network: {listed(there, problems[0])}"
    )
