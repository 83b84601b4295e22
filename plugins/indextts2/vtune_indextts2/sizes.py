"""What training asks of a machine, from ``config.yaml`` alone: no weight is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping

from vtune import Footprint, LoraSettings
from vtune_indextts2.config import SEMANTIC_RATE, Config
from vtune_indextts2.files import Files
from vtune_indextts2.options import IndexTTS2Options

TEXT_RATE = 4.0
"""Text tokens that go with a second of speech, about."""


def estimate(
    options: IndexTTS2Options,
    lora: LoraSettings,
    dtype_bytes: int,
    presets: Mapping[str, tuple[str, ...]],
    product_bytes: int | None = None,
) -> Footprint:
    """Count parameters, bytes and operations of what is trained on: the GPT without its conditioning encoders.

    Operations a token: 4 N forward and backward through N frozen weights, 6 a trained one.
    """
    config = Files(options).config
    gpt = config.gpt
    layers, width = gpt.layers, gpt.model_dim
    body = layers * (12 * width * width + 13 * width)
    tables = 2 * (gpt.text_rows + gpt.number_mel_codes) * width + gpt.text_rows + gpt.number_mel_codes
    positions = (gpt.text_positions + gpt.mel_positions + 2 + 4) * width  # two norms of two vectors each
    linear = linear_shapes(config)
    chosen = {name for name in linear if any(_matches(name, p) for t in lora.targets for p in presets.get(t, (t,)))}
    trainable = sum(lora.rank * (inputs + outputs) for inputs, outputs in (linear[name] for name in chosen))
    # What backward keeps of one layer: inputs of both norms, queries, keys, values and what was attended to, the inner
    # ones of the MLP, two masks of dropout, what each adapted module is given. Heads see one place each.
    inputs = sum(linear[name][0] for name in chosen if ".h.0." in name)
    narrow = product_bytes or dtype_bytes
    kept = ((2 + 3 + 1 + 4 + 2) * width + inputs) * narrow
    if narrow < dtype_bytes:
        kept += 3 * width * 4  # hidden states stay wide, beside what is narrowed of them
    head = (gpt.number_mel_codes + gpt.text_rows * TEXT_RATE / SEMANTIC_RATE) * (narrow + 3 * 4)
    return Footprint(
        parameters=body + tables + positions,
        trainable=trainable,
        tensors=2 * len(chosen),
        tokens_per_second=SEMANTIC_RATE,
        tokens_per_clip=gpt.prefix + 6 * TEXT_RATE + 3,
        weight_bytes=(body + tables + positions) * dtype_bytes,
        token_bytes=layers * kept + head,
        token_bytes_checkpointed=layers * width * dtype_bytes + max(kept, head),  # one is gone before the other comes
        token_flops=4.0 * (body + gpt.number_mel_codes * width) + 6.0 * trainable,
        longest_seconds=gpt.max_mel_tokens / SEMANTIC_RATE,
        tensor_bytes=max(gpt.text_rows, gpt.number_mel_codes, 4 * width) * width * dtype_bytes,
        largest_bytes=max(inputs * outputs for inputs, outputs in linear.values()) * dtype_bytes,
    )


def linear_shapes(config: Config) -> dict[str, tuple[int, int]]:
    """Shapes ``(in, out)`` of all linear modules by name."""
    width = config.gpt.model_dim
    shapes = {
        f"gpt.h.{layer}.{name}": shape
        for layer in range(config.gpt.layers)
        for name, shape in (
            ("attn.c_attn", (width, 3 * width)),
            ("attn.c_proj", (width, width)),
            ("mlp.c_fc", (width, 4 * width)),
            ("mlp.c_proj", (4 * width, width)),
        )
    }
    shapes["mel_head"] = (width, config.gpt.number_mel_codes)
    shapes["text_head"] = (width, config.gpt.text_rows)
    return shapes


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or name.endswith(f".{pattern}") or re.fullmatch(pattern, name) is not None
