"""Put a LoRA adapter on a network: presets and patterns to modules, and a clear word when nothing matches."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vtune.errors import TrainingError, nearest
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
    """Return ``network`` inside a fresh PeftModel; an adapter that it already carries is taken off first.

    :param presets: ``EngineInfo.lora_targets``.
    :param task_type: PEFT's, ``"CAUSAL_LM"`` for language models of transformers.
    :raises TrainingError: a target matches no module; lists what there is.
    """
    from peft import get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    if any(isinstance(module, BaseTunerLayer) for module in network.modules()):
        raise TrainingError("the network carries an adapter already; load the base anew")
    with warnings.catch_warnings():
        # GPT-2's Conv1D stores weights the other way round; PEFT sees it, sets it right and says so each time.
        warnings.filterwarnings("ignore", message="fan_in_fan_out")
        return get_peft_model(network, _config(network, lora, presets, task_type))


def add_lora(model: PeftModel, name: str, lora: LoraSettings, presets: Mapping[str, tuple[str, ...]]) -> None:
    """Put another fresh adapter on a network that carries some; which of them is on does not change.

    :param name: of the adapter, without a point.
    :param presets: as for ``attach_lora``, which made the model.
    :raises TrainingError: a target matches no module.
    """
    task_type = next(iter(model.peft_config.values())).task_type
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fan_in_fan_out")  # as above
        model.add_adapter(name, _config(model.get_base_model(), lora, presets, task_type))


def _config(
    network: nn.Module, lora: LoraSettings, presets: Mapping[str, tuple[str, ...]], task_type: str | None
) -> LoraConfig:
    from peft import LoraConfig

    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha if lora.alpha != int(lora.alpha) else int(lora.alpha),
        lora_dropout=lora.dropout,
        use_rslora=lora.rslora,
        target_modules=match_targets(network, lora.targets, presets),
        modules_to_save=list(lora.modules_to_save) or None,
        task_type=task_type,
    )


def match_targets(network: nn.Module, targets: tuple[str, ...], presets: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return what ``LoraConfig.target_modules`` should hold.

    Ends of names stay as they are written (servers read them), regular expressions become whole names.

    :raises TrainingError: a target matches nothing.
    """
    names = list(_adaptable_names(network))
    patterns = [pattern for target in targets for pattern in presets.get(target, (target,))]
    chosen: dict[str, None] = {}
    problems = []
    for pattern in patterns:
        if any(_ends(name, pattern) for name in names):
            chosen[pattern] = None
            continue
        try:
            matched = [name for name in names if re.fullmatch(pattern, name)]
        except re.error as error:
            raise TrainingError(f"lora.targets: {pattern!r} is no regular expression: {error}") from error
        if not matched:
            problems.append(pattern)
        chosen.update(dict.fromkeys(matched))
    if problems:
        raise TrainingError(_no_match(problems, list(chosen), names, presets))
    return list(chosen)


def _adaptable_names(network: nn.Module) -> Iterator[str]:
    """Yield names of modules that an adapter can sit on, the same whether some sit there already or not."""
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


def _ends(name: str, pattern: str) -> bool:
    return name == pattern or name.endswith(f".{pattern}")


def _no_match(problems: list[str], matched: list[str], names: list[str], presets: Mapping[str, Any]) -> str:
    ends = Counter(name.rsplit(".", 1)[-1] for name in names)
    there = ", ".join(f"{end} ({count})" for end, count in ends.most_common(20))
    hint = nearest(problems[0], [*ends, *presets])
    also = f"; matched: {', '.join(matched[:10])}" if matched else ""
    return (
        f"lora.targets: {', '.join(map(repr, problems))} matches no module{hint}{also}; "
        f"presets: {', '.join(presets) or 'none'}; modules of this network: {there or 'none'}"
    )
