"""Keep the weights of an exported voice in 8 bits: a quarter of the size, at the speed of float32.

Only weights are rounded. ``quantize_dynamic`` of ONNX Runtime rounds activations too, and its convolutions of integers
take 3.6 times as long as those of float32 (measured on one core with a voice of quality "medium").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vtune_vits.export.source_filter_graph import TABLES

if TYPE_CHECKING:
    import onnx

LARGEST_LEVEL = 127
"""Largest number of a weight in 8 bits; -128 is not used, so the levels are symmetric."""

MIN_WEIGHTS = 1024
"""Smaller tensors stay as they are; all of them together have less than a hundredth of the weights."""

KEPT_PARTS = ("dp.", "enc_p.emb.", TABLES)
"""Parts that stay float32: durations are rounded up to frames, so small errors there change the rhythm, and Fourier
transforms are exact."""

_VALUES, _SCALES = ".int8", ".scales"


def quantise_weights(model: onnx.ModelProto) -> None:
    """Replace the weights of convolutions by int8 and one scale for each output channel."""
    from onnx import helper, numpy_helper

    channel_axes = {
        node.input[1]: 1 if node.op_type == "ConvTranspose" else 0
        for node in model.graph.node
        if node.op_type in ("Conv", "ConvTranspose")
    }
    initializers = list(model.graph.initializer)
    model.graph.ClearField("initializer")
    nodes = []
    for initializer in initializers:
        name = initializer.name
        weights = numpy_helper.to_array(initializer)
        if name not in channel_axes or weights.size < MIN_WEIGHTS or name.startswith(KEPT_PARTS):
            model.graph.initializer.append(initializer)
            continue
        axis = channel_axes[name]
        levels, scales = _rounded(weights, axis)
        model.graph.initializer.extend(
            [numpy_helper.from_array(levels, name + _VALUES), numpy_helper.from_array(scales, name + _SCALES)]
        )
        nodes.append(
            helper.make_node("DequantizeLinear", [name + _VALUES, name + _SCALES], [name], f"/{name}", axis=axis)
        )
    nodes.extend(model.graph.node)
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)


def _rounded(weights: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the levels of weights, int8, and the scale of each channel of an axis, float32.

    >>> levels, scales = _rounded(np.float32([[1.0, 0.5], [0.0, 0.0]]), axis=0)
    >>> levels.tolist(), [round(float(scale) * 127, 3) for scale in scales]
    ([[127, 64], [0, 0]], [1.0, 127.0])
    """
    others = tuple(number for number in range(weights.ndim) if number != axis)
    peaks = np.abs(weights).max(axis=others, keepdims=True)
    scales = np.where(peaks > 0, peaks / LARGEST_LEVEL, 1.0).astype(np.float32)
    levels = np.clip(np.rint(weights / scales), -LARGEST_LEVEL, LARGEST_LEVEL).astype(np.int8)
    return levels, scales.reshape(-1)


def dequantised_weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Return the weights that a model with rounded weights computes with, by name, float32."""
    from onnx import numpy_helper

    arrays = {initializer.name: numpy_helper.to_array(initializer) for initializer in model.graph.initializer}
    weights = {}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear":
            levels, scales = (arrays[name] for name in node.input)
            shape = [1] * levels.ndim
            shape[node.attribute[0].i] = -1
            weights[node.output[0]] = levels * scales.reshape(shape)
    return weights
