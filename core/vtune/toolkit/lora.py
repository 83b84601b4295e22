"""Put a LoRA adapter on a network: presets and patterns to modules, and a clear word when nothing matches."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vtune.errors import TrainingError, listed, nearest, shown
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
    ends = {end for name in names for end in _ends(name)}
    patterns = [pattern for target in targets for pattern in presets.get(target, (target,))]
    # The engine's own expressions are trusted; the others may come with a voice.
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


def _ends(name: str) -> Iterator[str]:
    """Yield a dotted name's ends: ``a.b.c``, ``b.c`` and ``c``."""
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
