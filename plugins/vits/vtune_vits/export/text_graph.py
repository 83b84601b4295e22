"""Write the text encoder into an ONNX graph: symbols to hidden states and to the prior's means and deviations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vtune_vits.export.graph import Graph

if TYPE_CHECKING:
    from torch import nn

MASKED_LOGIT = -1e4
"""Added to the attention's logit of a padded symbol; exp(-1e4) is 0 in float32."""


@dataclass(frozen=True, slots=True)
class TextValues:
    """Names of the text encoder's outputs in the graph: each ``[B, C, L]``, with zeros at padded symbols."""

    hidden: str
    means: str
    log_scales: str


def write_text_encoder(graph: Graph, encoder: nn.Module, ids: str, mask: str) -> TextValues:
    """Write transformers' ``VitsTextEncoder``.

    :param ids: int64 ``[B, L]``.
    :param mask: float32 ``[B, 1, L]``, 1 for symbols and 0 for padding.
    """
    module: Any = encoder
    scale = graph.floats(math.sqrt(module.embed_tokens.embedding_dim))
    embedded = graph.op("Mul", graph.embed(ids, module.embed_tokens), scale)
    hidden = graph.op("Mul", graph.op("Transpose", embedded, perm=[0, 2, 1]), mask)
    layers = module.encoder.layers
    positions = _write_positions(graph, ids, mask, layers[0].attention)
    for layer in layers:
        attended = _write_attention(graph, layer.attention, hidden, positions)
        hidden = graph.norm(graph.op("Add", hidden, attended), layer.layer_norm)
        fed = _write_feed_forward(graph, layer.feed_forward, hidden, mask)
        hidden = graph.norm(graph.op("Add", hidden, fed), layer.final_layer_norm)
    hidden = graph.op("Mul", hidden, mask)
    statistics = graph.op("Mul", graph.conv(hidden, module.project), mask)
    means, log_scales = graph.split(statistics, [module.project.out_channels // 2] * 2)
    return TextValues(hidden, means, log_scales)


@dataclass(frozen=True, slots=True)
class _Positions:
    """What all attention layers share.

    :param penalty: float32 ``[B, 1, 1, L]``, added to the logits: ``MASKED_LOGIT`` for padded keys.
    :param offsets: int64 ``[L, L]``: which row of the relative embeddings belongs to a query and a key.
    :param near: float32 ``[L, L]``: 1 where the key is within the window, else 0.
    :param keys: int64 ``[L, 2 * window + 1]``: which key of the padded weights is at each offset of a query.
    """

    penalty: str
    offsets: str
    near: str
    keys: str


def _write_positions(graph: Graph, ids: str, mask: str, attention: Any) -> _Positions:
    window = attention.window_size
    penalty = graph.op("Mul", graph.op("Sub", graph.floats(1.0), mask), graph.floats(MASKED_LOGIT))
    steps = graph.count_up(graph.squeeze(graph.dimension(ids, 1), 0))
    offsets = graph.op(
        "Add", graph.op("Sub", graph.unsqueeze(steps, 0), graph.unsqueeze(steps, 1)), graph.integer(window)
    )
    inside = graph.op("Clip", offsets, graph.integer(0), graph.integer(2 * window))
    near = graph.cast(graph.op("Equal", inside, offsets), "FLOAT")
    keys = graph.op("Add", graph.unsqueeze(steps, 1), graph.unsqueeze(graph.ints(*range(2 * window + 1)), 0))
    return _Positions(graph.unsqueeze(penalty, 1), inside, near, keys)


def _write_attention(graph: Graph, attention: Any, hidden: str, positions: _Positions) -> str:
    """Write self-attention with relative positions within a window (Shaw et al., arXiv:1803.02155)."""
    heads, size = attention.num_heads, attention.head_dim

    def rows(layer: nn.Linear) -> str:
        """Return ``[B, heads, L, head size]``."""
        value = graph.linear(hidden, layer)
        return graph.op("Transpose", graph.op("Reshape", value, graph.ints(0, heads, size, -1)), perm=[0, 1, 3, 2])

    query = graph.op("Mul", rows(attention.q_proj), graph.floats(attention.scaling))
    key, value = rows(attention.k_proj), rows(attention.v_proj)
    logits = graph.op("MatMul", query, graph.op("Transpose", key, perm=[0, 1, 3, 2]))  # [B, heads, L, L]
    key_table = graph.weight(attention.emb_rel_k)  # [1, 2 * window + 1, head size]
    by_offset = graph.op("MatMul", query, graph.op("Transpose", key_table, perm=[0, 2, 1]))
    by_key = graph.op("GatherElements", by_offset, _like(graph, positions.offsets, logits), axis=3)
    logits = graph.op("Add", logits, graph.op("Mul", by_key, positions.near))
    weights = graph.op("Softmax", graph.op("Add", logits, positions.penalty), axis=-1)
    mixed = graph.op("MatMul", weights, value)  # [B, heads, L, head size]
    window = attention.window_size
    padded = graph.op("Pad", weights, graph.ints(0, 0, 0, window, 0, 0, 0, window))
    weights_by_offset = graph.op("GatherElements", padded, _like(graph, positions.keys, by_offset), axis=3)
    value_table = graph.weight(attention.emb_rel_v)
    mixed = graph.op("Add", mixed, graph.op("MatMul", weights_by_offset, value_table))
    channels = graph.op("Transpose", mixed, perm=[0, 1, 3, 2])
    joined = graph.op("Reshape", channels, graph.ints(0, heads * size, -1))
    return graph.linear(joined, attention.out_proj)


def _like(graph: Graph, indices: str, value: str) -> str:
    """Repeat indices ``[L, n]`` for each row and head of a value ``[B, heads, L, n]``."""
    return graph.op("Expand", indices, graph.op("Shape", value))


def _write_feed_forward(graph: Graph, feed_forward: Any, hidden: str, mask: str) -> str:
    for layer in (feed_forward.conv_1, feed_forward.conv_2):
        if layer is feed_forward.conv_2:
            hidden = graph.op("Relu", hidden)
        width = layer.kernel_size[0]
        left = (width - 1) // 2
        padded = graph.op("Pad", graph.op("Mul", hidden, mask), graph.ints(0, 0, left, 0, 0, width - 1 - left))
        hidden = graph.conv(padded, layer)
    return graph.op("Mul", hidden, mask)
