"""Put tuned weights back into the graph that a published file has, and read them out of it in full precision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vtune.toolkit.onnx_graph import read_onnx_graph
from vtune_hibari.bases.weights_in_graph import QuantisedMatrix, plain_matrices, quantised_matrices

if TYPE_CHECKING:
    import onnx

LARGEST_LEVEL = 127
"""Largest number of a weight in 8 bits; -128 is not used, so the levels are symmetric, as those of published files."""


def with_weights(template: Path, weights: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """Return the graph of a published file with other weights, rounded to 8 bits where the file has 8 bits.

    :param template: the file; it stays as it is.
    :param weights: float32 by their names in a published file, matrices ``[out x in]``; all of the graph's.
    """
    import onnx
    from onnx import numpy_helper

    graph = read_onnx_graph(template)
    matrices = quantised_matrices(graph)
    plain = {tensor.name: name for name, tensor in plain_matrices(graph).items()}
    model = onnx.load(template)
    stored = {initializer.name: initializer for initializer in model.graph.initializer}
    arrays = {name: weight for name, weight in weights.items() if name not in matrices}
    for name, matrix in matrices.items():
        zero_point = stored.get(matrix.zero_point)
        per_output = bool(numpy_helper.to_array(stored[matrix.scale]).ndim)
        levels, scale = rounded(weights[name].T, per_output=per_output)
        arrays[matrix.values] = levels
        arrays[matrix.scale] = scale.reshape(tuple(stored[matrix.scale].dims))
        if zero_point is not None:
            arrays[matrix.zero_point] = np.zeros_like(numpy_helper.to_array(zero_point))
    arrays |= {stored_name: arrays.pop(name).T for stored_name, name in plain.items()}
    for name, array in arrays.items():
        dtype = numpy_helper.to_array(stored[name]).dtype
        stored[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array, dtype=dtype), name))
    return model


def rounded(matrix: np.ndarray, *, per_output: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the levels of a matrix ``[in x out]``, int8, and their scale, float32: one, or one for each output.

    >>> levels, scale = rounded(np.float32([[1.0, 0.5], [-0.25, 0.0]]), per_output=False)
    >>> levels.tolist(), round(float(scale) * 127, 3)
    ([[127, 64], [-32, 0]], 1.0)
    """
    peak = np.abs(matrix).max(axis=0 if per_output else None)
    scale = np.where(peak > 0, peak / LARGEST_LEVEL, 1.0).astype(np.float32)
    levels = np.clip(np.rint(matrix / scale), -LARGEST_LEVEL, LARGEST_LEVEL).astype(np.int8)
    return levels, scale


def in_full_precision(path: Path) -> onnx.ModelProto:
    """Return the graph of a file with the same rounded weights, which multiplies in float32.

    A published file also rounds what the matrices are multiplied with, differently for each sentence; without that, the
    graph computes what the network in torch computes with the file's weights.
    """
    import onnx
    from onnx import helper, numpy_helper

    matrices = {matrix.values: matrix for matrix in quantised_matrices(read_onnx_graph(path)).values()}
    model = onnx.load(path)
    arrays = {initializer.name: numpy_helper.to_array(initializer) for initializer in model.graph.initializer}
    producers = {output: node for node in model.graph.node for output in node.output}
    products = {node.output[0]: node for node in model.graph.node if node.op_type == "MatMulInteger"}
    nodes = []
    for node in model.graph.node:
        cast = next((producers[name] for name in node.input if name in producers), None)
        product = products.get(cast.input[0]) if node.op_type == "Mul" and cast and cast.op_type == "Cast" else None
        if product is None:
            nodes.append(node)
            continue
        inputs = producers[product.input[0]].input[0]
        nodes.append(helper.make_node("MatMul", [inputs, _float_name(product.input[1])], list(node.output)))
    del model.graph.node[:]
    model.graph.node.extend(_without_unused(nodes, {output.name for output in model.graph.output}))
    model.graph.initializer.extend(
        numpy_helper.from_array(_dequantised(arrays, matrix), _float_name(matrix.values))
        for matrix in matrices.values()
    )
    return model


def _float_name(values: str) -> str:
    return f"{values} in float32"


def _dequantised(arrays: Mapping[str, np.ndarray], matrix: QuantisedMatrix) -> np.ndarray:
    zero_point = arrays[matrix.zero_point].astype(np.float32) if matrix.zero_point else np.float32(0)
    return np.asarray((arrays[matrix.values].astype(np.float32) - zero_point) * arrays[matrix.scale], np.float32)


def _without_unused(nodes: list[onnx.NodeProto], needed: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes that the outputs need, in their order; the others would only be computed."""
    kept = []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    return kept[::-1]
