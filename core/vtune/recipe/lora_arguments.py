"""``lora.arguments``: the fields of ``peft.LoraConfig`` for which the recipe has no key of its own.

Every field of ``LoraConfig`` is decided here: it is an argument, it is a key of the section ``lora``, or it is refused
with a reason. A test compares the three with the installed PEFT. The same model reads the ``voice.json`` of a stranger,
so nothing in it may name code, a file or a process.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, NonNegativeInt, PlainValidator, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from vtune.types import Settings

MAX_RANK = 512

KEYS = {
    "r": "rank",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "use_rslora": "rslora",
    "target_modules": "targets",
    "modules_to_save": "modules_to_save",
}
"""Fields of ``LoraConfig`` that are keys of the recipe's section ``lora``."""

REFUSED = {
    "alora_invocation_tokens": "an activated LoRA acts on a part of each prompt only, so it cannot be merged",
    "arrow_config": "Arrow chooses among several adapters for each token, and a voice is one adapter",
    "auto_mapping": "PEFT writes it",
    "base_model_name_or_path": "the engine's options name the base",
    "bias": "it trains the biases of the base, which other voices on that base use too; see lora_bias",
    "corda_config": "CorDA begins from the activations of calibration data, and vtune collects none",
    "ensure_weight_tying": "vtune merges the embedding table and the output head separately",
    "eva_config": "EVA begins from the activations of calibration data, and vtune collects none",
    "fan_in_fan_out": "PEFT reads it from the base",
    "inference_mode": "vtune sets it",
    "kasa_config": "KaSA changes the weights of the base, which other voices on that base use too",
    "layer_replication": "it gives the network more layers than the voice's base has",
    "loftq_config": "LoftQ changes the weights of the base, which other voices on that base use too",
    "lora_ga_config": "LoRA-GA begins from the gradients of calibration data, and vtune collects none",
    "megatron_config": "vtune's engines have no Megatron layers",
    "megatron_core": "it names a module to import, and an adapter never brings code",
    "monteclora_config": "Monteclora draws random weights in each pass, so the adapter has no one merged form",
    "peft_type": "the adapter is a LoRA",
    "peft_version": "PEFT writes it",
    "qalora_group_size": "PEFT has QALoRA for GPTQ bases only; for QLoRA set engine_options.quantization",
    "revision": "the engine's options name the base",
    "runtime_config": "it describes the machine, not the adapter",
    "target_parameters": "it adapts bare tensors, and vtune adapts modules; use lora.targets",
    "task_type": "the engine sets it",
    "trainable_token_indices": "a voice keeps no single rows of an embedding; name the embedding in lora.targets",
    "use_bdlora": "BD-LoRA cuts the adapter for several GPUs of one server, and a voice is served anywhere",
    "use_qalora": "PEFT has QALoRA for GPTQ bases only; for QLoRA set engine_options.quantization",
    "velora_config": "VeLoRA compresses what backward keeps, which vtune's memory estimate does not know",
}
"""Fields of ``LoraConfig`` that a recipe cannot set, each with the reason."""

_CHANGES_BASE = "changes the weights of the base, which other voices on that base use too"
_NEEDS_DATA = "begins from calibration data, and vtune collects none"
_REFUSED_INITS = {
    "pissa": _CHANGES_BASE,
    "olora": _CHANGES_BASE,
    "loftq": _CHANGES_BASE,
    "corda": _NEEDS_DATA,
    "eva": _NEEDS_DATA,
    "lora_ga": _NEEDS_DATA,
    "mica": "decomposes every weight of the base each time the voice is loaded",
    "false": "changes what the base says before anything is trained",
}
_INITS = (True, "gaussian", "orthogonal")


def refusal(name: str) -> str | None:
    """Say why a field of ``LoraConfig`` is no argument: it is a key of the section, or it cannot work here."""
    if name in KEYS:
        return f"write it as the key 'lora.{KEYS[name]}'"
    return REFUSED.get(name)


def _init(value: Any) -> Any:
    if any(value is init or (isinstance(value, str) and value == init) for init in _INITS):
        return value
    kind = str(value).lower() if isinstance(value, str | bool) else ""
    kind = "pissa" if re.fullmatch(r"pissa(_niter_\d+)?", kind) else kind
    if kind in _REFUSED_INITS:
        raise PydanticCustomError("lora_init", "{kind} {why}", {"kind": kind, "why": _REFUSED_INITS[kind]})
    raise PydanticCustomError("lora_init", "must be true, 'gaussian' or 'orthogonal'")


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) or value is None else [value]


Rank = Annotated[int, Field(strict=True, ge=1, le=MAX_RANK)]
Alpha = Annotated[float, Field(strict=True, gt=0)]
Pattern = Annotated[str, Field(min_length=1)]
PlainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")]
Layer = Annotated[NonNegativeInt, Field(strict=True)]
Init = Annotated[
    Any, PlainValidator(_init), WithJsonSchema({"enum": [True, "gaussian", "orthogonal"], "default": True})
]


class LoraArguments(Settings):
    """Further fields of `peft.LoraConfig`, under PEFT's own names."""

    use_dora: bool = Field(
        False,
        description="DoRA: train the magnitude of each weight beside its direction. vLLM serves such a voice merged "
        "only.",
    )
    init_lora_weights: Init = Field(
        True, description="How the adapter begins: true (Kaiming), 'gaussian', or 'orthogonal' (even ranks only)."
    )
    rank_pattern: dict[Pattern, Rank] = Field(
        default_factory=dict,
        description="Other ranks for some modules: ends of module names or regular expressions, with the rank of each.",
    )
    alpha_pattern: dict[Pattern, Alpha] = Field(
        default_factory=dict,
        description="Other alphas for some modules: ends of module names or regular expressions, with the alpha of "
        "each.",
    )
    layers_to_transform: Annotated[list[Layer] | None, Field(min_length=1), BeforeValidator(_listed)] = Field(
        None, description="The numbers of the layers that are adapted. Default: all layers."
    )
    layers_pattern: Annotated[list[PlainName] | None, Field(min_length=1), BeforeValidator(_listed)] = Field(
        None,
        description="The name of the list of layers that `layers_to_transform` counts in. Default: the first list.",
    )
    exclude_modules: Annotated[list[PlainName], BeforeValidator(_listed)] = Field(
        default_factory=list,
        description="Ends of names of modules that are not adapted, although `targets` names them.",
    )
    lora_bias: bool = Field(
        False, description="Train a bias beside each adapted module. Each of these modules must have a bias already."
    )

    @model_validator(mode="after")
    def _go_together(self) -> LoraArguments:
        problem = None
        if self.lora_bias and self.use_dora:
            problem = "lora_bias and use_dora cannot be combined; choose one"
        elif self.lora_bias and self.init_lora_weights is not True:
            problem = f"lora_bias cannot be combined with init_lora_weights {self.init_lora_weights!r}; choose one"
        elif self.layers_pattern and self.layers_to_transform is None:
            problem = "layers_pattern needs layers_to_transform, the numbers of the layers"
        if problem:
            raise PydanticCustomError("lora_arguments", "{problem}", {"problem": problem})
        return self

    def given(self) -> dict[str, Any]:
        """Return the fields that differ from PEFT's default, as ``LoraConfig`` takes them."""
        return self.model_dump(exclude_defaults=True)
