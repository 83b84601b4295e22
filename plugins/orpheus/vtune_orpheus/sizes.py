"""What training asks of a machine, from ``config.json`` alone: no weight is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig, AutoModelForCausalLM

from vtune import EngineError, Footprint, LoraSettings
from vtune.toolkit import AdapterSize, adapter_size, load_pretrained, unreachable
from vtune_orpheus.checkpoints import checkpoint_name
from vtune_orpheus.llama import GROWTH, LlamaSteps
from vtune_orpheus.loss import chunk_rows
from vtune_orpheus.options import OrpheusOptions

if TYPE_CHECKING:
    from torch import nn

_TOKENS_PER_SECOND = 7 * 24_000 / 2048
_TOKENS_PER_CLIP = 8 + 16  # ends, and words
_BYTES = {"4bit": 0.56, "8bit": 1.0}
"""Bytes a quantised weight takes: NF4 with double quantisation stores about half a bit of scales beside its four."""

_CODEC_BYTES = 80e6
"""SNAC of the published widths, in float32."""

_ENCODED_SECOND_BYTES, _DECODED_SECOND_BYTES, _DECODED_SECONDS = 85e6, 130e6, 5.5
"""Measured of it for one second of sound; what a longer utterance takes beside it is given back at once."""

_PROMPT_TOKENS = 100

_READ_ALIKE = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"), ("down_proj",))
"""Modules that are given the same tensor; what ``o_proj`` is given is what was attended to."""


def estimate(
    options: OrpheusOptions,
    lora: LoraSettings,
    dtype_bytes: int,
    presets: Mapping[str, tuple[str, ...]],
    product_bytes: int | None = None,
) -> Footprint:
    """Count parameters, bytes and operations of the checkpoint's shape.

    :param product_bytes: of a number that products are made in; default: of the weights.

    Operations a token: 4 N forward and backward through N frozen weights, 6 a trained one; attention's own part is
    left out (about 2 % at these lengths).
    """
    name = checkpoint_name(options.base_model)
    try:
        config: Any = load_pretrained(AutoConfig, name)
    except (OSError, ValueError) as error:
        raise EngineError(unreachable(name, error)) from error
    linear = linear_shapes(config)
    layers, hidden, vocabulary = config.num_hidden_layers, config.hidden_size, config.vocab_size
    body = layers * sum(inputs * outputs for inputs, outputs in linear.values())
    embedding = vocabulary * hidden * (1 if config.tie_word_embeddings else 2)
    norms = (2 * layers + 1) * hidden
    adapter = adapter_size(empty_network(config), lora, presets)
    read = _read_numbers(adapter)
    quantized = _BYTES.get(options.quantization, dtype_bytes)
    # What backward keeps of one layer: queries, keys, values and what was attended to; gate, its SiLU and the other
    # half of the MLP; two norms' float32; and what adapters are given, which those that read the same share.
    attended = 2 * (linear["q_proj"][1] + linear["k_proj"][1])
    width = product_bytes or dtype_bytes
    narrowed = width < dtype_bytes
    kept = (attended + 3 * config.intermediate_size) * width + 2 * hidden * 4
    if narrowed:
        kept += 2 * hidden * 4  # hidden states stay wide, beside what is narrowed of them
    # Logits of a few places in float32 with their gradient beside them, a narrow copy of the head, and one weight of a
    # quantised base unpacked.
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
        for group in _READ_ALIKE
        if name.rpartition(".")[2] in group
    }
    read: Counter[str] = Counter()
    for (parent, _), inputs in shared.items():
        read[parent.rpartition(".")[0]] += inputs
    return read


def _cache_bytes(options: OrpheusOptions, config: Any, dtype_bytes: int) -> float:
    """Keys and values of all rows that are drawn side by side, each as long as it may become."""
    positions = -(-(options.max_new_tokens + _PROMPT_TOKENS) // GROWTH) * GROWTH
    keys = linear_shapes(config)["k_proj"][1]
    return float(LlamaSteps.most * positions * 2 * config.num_hidden_layers * keys * dtype_bytes)


def _decoded_bytes(options: OrpheusOptions) -> float:
    return _DECODED_SECOND_BYTES * min(options.max_new_tokens / _TOKENS_PER_SECOND, _DECODED_SECONDS)


def linear_shapes(config: Any) -> dict[str, tuple[int, int]]:
    """Shapes ``(in, out)`` of the linear modules of one layer, by the end of their names."""
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
