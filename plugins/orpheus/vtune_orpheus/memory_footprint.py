"""Estimate the memory and computation of a training from ``config.json`` alone, without loading weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig, AutoModelForCausalLM

from vtune import EngineError, Footprint, LoraSettings
from vtune.toolkit import AdapterSize, adapter_size, load_pretrained, unreachable_message
from vtune_orpheus.checkpoints import checkpoint_name
from vtune_orpheus.llama_stepper import CACHE_GROWTH_POSITIONS, LlamaStepper
from vtune_orpheus.loss import chunk_rows
from vtune_orpheus.options import OrpheusOptions

if TYPE_CHECKING:
    from torch import nn

_TOKENS_PER_SECOND = 7 * 24_000 / 2048
_TOKENS_PER_CLIP = 8 + 16  # marks of the sequence, and words
_QUANTIZED_WEIGHT_BYTES = {"4bit": 0.56, "8bit": 1.0}
"""Bytes of one quantised weight: NF4 with double quantisation stores about half a bit of scales with its four bits."""

_CODEC_BYTES = 80e6
"""The weights of the published SNAC in float32."""

_ENCODED_SECOND_BYTES, _DECODED_SECOND_BYTES, _DECODED_SECONDS = 85e6, 130e6, 5.5
"""Measured memory of SNAC for one second of sound; for longer utterances, the rest is freed at once."""

_PROMPT_TOKENS = 100

_SHARED_INPUT_MODULES = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"), ("down_proj",))
"""Modules that get the same input tensor; the input of ``o_proj`` is the output of attention, counted there."""


def estimate(
    options: OrpheusOptions,
    lora: LoraSettings,
    dtype_bytes: int,
    presets: Mapping[str, tuple[str, ...]],
    product_bytes: int | None = None,
) -> Footprint:
    """Count parameters, bytes and operations for the shape of the checkpoint.

    One token takes 4 operations, forward and backward, for each frozen weight and 6 for each trained one. The products
    of attention itself are left out (about 2 % at these lengths).

    :param presets: the engine's presets of LoRA targets.
    :param product_bytes: bytes of a number in matrix products; default: ``dtype_bytes``.
    """
    name = checkpoint_name(options.base_model)
    try:
        config: Any = load_pretrained(AutoConfig, name)
    except (OSError, ValueError) as error:
        raise EngineError(unreachable_message(name, error)) from error
    linear = linear_shapes(config)
    layers, hidden, vocabulary = config.num_hidden_layers, config.hidden_size, config.vocab_size
    body = layers * sum(inputs * outputs for inputs, outputs in linear.values())
    embedding = vocabulary * hidden * (1 if config.tie_word_embeddings else 2)
    norms = (2 * layers + 1) * hidden
    adapter = adapter_size(empty_network(config), lora, presets)
    read = _read_numbers(adapter)
    quantized = _QUANTIZED_WEIGHT_BYTES.get(options.quantization, dtype_bytes)
    # What backward keeps of one layer: queries, keys, values and the output of attention; gate, its SiLU and the other
    # half of the MLP; two norms' float32; and what adapters are given, which those that read the same share.
    attention = 2 * (linear["q_proj"][1] + linear["k_proj"][1])
    width = product_bytes or dtype_bytes
    narrowed = width < dtype_bytes
    kept = (attention + 3 * config.intermediate_size) * width + 2 * hidden * 4
    if narrowed:
        kept += 2 * hidden * 4  # hidden states exist in both dtypes
    # The float32 logits of a few positions with their gradient, a copy of the head in the narrower dtype, and one
    # unpacked weight of a quantised base.
    logits = chunk_rows(vocabulary) * vocabulary * (4 + (width if width < 4 else 0))
    logits += vocabulary * hidden * width if narrowed else 0
    unpacked = 2 * hidden * config.intermediate_size if quantized < 2 else 0
    return Footprint(
        parameters=body + embedding + norms,
        trainable=adapter.parameters,
        tensors=adapter.tensors,
        tokens_per_second=_TOKENS_PER_SECOND,
        tokens_per_clip=_TOKENS_PER_CLIP,
        weight_bytes=int(body * quantized + (embedding + norms) * dtype_bytes),
        token_bytes=layers * kept + (sum(read.values()) + adapter.token_numbers) * width,
        token_bytes_checkpointed=layers * hidden * dtype_bytes
        + kept
        + (max(read.values(), default=0) + adapter.token_numbers / layers) * width,
        token_flops=4.0 * (body + vocabulary * hidden) + 6.0 * adapter.parameters,
        pass_bytes=logits + unpacked + adapter.pass_numbers * 4,  # the update is float32
        longest_seconds=(options.max_tokens - _TOKENS_PER_CLIP) / _TOKENS_PER_SECOND,
        codec_bytes=_CODEC_BYTES,
        encoding_second_bytes=_ENCODED_SECOND_BYTES,
        speaking_bytes=_cache_bytes(options, config, dtype_bytes) + _decoded_bytes(options),
        largest_bytes=max(inputs * outputs for inputs, outputs in linear.values()) * dtype_bytes,
        tensor_bytes=vocabulary * hidden * dtype_bytes,
        gathered_bytes=int(2 * body / layers + embedding + norms) * dtype_bytes,
    )


def empty_network(config: Any) -> nn.Module:
    """Return the checkpoint's network without weights, on the device ``meta``."""
    import torch

    with torch.device("meta"):
        network: nn.Module = AutoModelForCausalLM.from_config(config)
    return network


def _read_numbers(adapter: AdapterSize) -> dict[str, int]:
    """Return for each layer how many numbers a token its adapted modules are given; modules that share count once."""
    shared = {
        (name.rpartition(".")[0], group): inputs
        for name, (inputs, _) in adapter.modules.items()
        for group in _SHARED_INPUT_MODULES
        if name.rpartition(".")[2] in group
    }
    read: Counter[str] = Counter()
    for (parent, _), inputs in shared.items():
        read[parent.rpartition(".")[0]] += inputs
    return read


def _cache_bytes(options: OrpheusOptions, config: Any, dtype_bytes: int) -> float:
    """Return the bytes of the KV cache of all rows of a batch at their largest length."""
    positions = -(-(options.max_new_tokens + _PROMPT_TOKENS) // CACHE_GROWTH_POSITIONS) * CACHE_GROWTH_POSITIONS
    keys = linear_shapes(config)["k_proj"][1]
    return float(LlamaStepper.max_rows * positions * 2 * config.num_hidden_layers * keys * dtype_bytes)


def _decoded_bytes(options: OrpheusOptions) -> float:
    return _DECODED_SECOND_BYTES * min(options.max_new_tokens / _TOKENS_PER_SECOND, _DECODED_SECONDS)


def linear_shapes(config: Any) -> dict[str, tuple[int, int]]:
    """Return the shapes ``(inputs, outputs)`` of the linear modules of one layer, by the last part of their names."""
    hidden, inner = config.hidden_size, config.intermediate_size
    head = getattr(config, "head_dim", None) or hidden // config.num_attention_heads
    query, key = head * config.num_attention_heads, head * config.num_key_value_heads
    return {
        "q_proj": (hidden, query),
        "k_proj": (hidden, key),
        "v_proj": (hidden, key),
        "o_proj": (query, hidden),
        "gate_proj": (hidden, inner),
        "up_proj": (hidden, inner),
        "down_proj": (inner, hidden),
    }
