"""A hibari network as an ONNX graph that ONNX Runtime runs: written from the published file's description, not traced.

Inputs and outputs, the names of weights, and the matrices without names are those of the published files; operations
are the obvious ones. ``quantised`` rounds the matrices as the published files have them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vtune_hibari.bases.base_files import file_weights
from vtune_hibari.network.settings import BINS, HEADS
from vtune_hibari.network.voice import HibariNetwork

SPECTRA = ("lh", "theta", "ln", "lr", "phi")


class _Graph:
    def __init__(self, network: HibariNetwork) -> None:
        self.weights = {name: tensor.numpy() for name, tensor in file_weights(network).items()}
        self.nodes: list[Any] = []
        self.initialisers: dict[str, Any] = {}

    def op(self, kind: str, *inputs: Any, outputs: list[str] | None = None, **attributes: Any) -> Any:
        names = outputs or [f"v{len(self.nodes)}"]
        values = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        self.nodes.append(helper.make_node(kind, values, names, **attributes))
        return names[0] if len(names) == 1 else names

    def constant(self, value: Any) -> str:
        array = np.asarray(value, np.float32 if isinstance(value, float) else np.int64)
        name = f"c{len(self.nodes)}_{len(self.initialisers)}"
        self.initialisers[name] = numpy_helper.from_array(array, name)
        return name

    def weight(self, name: str) -> str:
        self.initialisers[name] = numpy_helper.from_array(self.weights[name], name)
        return name

    def linear(self, x: str, name: str) -> str:
        """Multiply by a matrix that is stored transposed and without its name, and add the bias."""
        prefix = name if name.endswith("_") else f"{name}."
        stored = f"matrix of {prefix[1:]}"
        matrix = np.ascontiguousarray(self.weights[f"{prefix}weight"].T)
        self.initialisers[stored] = numpy_helper.from_array(matrix, stored)
        return self.op("Add", self.weight(f"{prefix}bias"), self.op("MatMul", x, stored))

    def norm(self, x: str, name: str) -> str:
        weights = (self.weight(f"{name}.weight"), self.weight(f"{name}.bias"))
        return self.op("LayerNormalization", x, *weights, axis=-1, epsilon=1e-5)

    def gelu(self, x: str) -> str:
        return self.op("Mul", self.op("Mul", x, self.op("Add", self.op("Erf", self.op("Div", x, 2**0.5)), 1.0)), 0.5)

    def convolution(self, x: str, name: str, dilation: int = 1) -> str:
        """Apply a convolution to ``[1, C, T]``."""
        shape = self.weights[f"{name}.weight"].shape
        pad = dilation * (shape[2] // 2)
        groups = shape[0] if shape[1] == 1 and shape[0] > 1 else 1
        weights = (self.weight(f"{name}.weight"), self.weight(f"{name}.bias"))
        return self.op("Conv", x, *weights, dilations=[dilation], pads=[pad, pad], group=groups)

    def swapped(self, x: str) -> str:
        return self.op("Transpose", x, perm=[0, 2, 1])

    def block(self, x: str, name: str, dilation: int) -> str:
        mixed = self.norm(self.swapped(self.convolution(x, f"{name}.dw", dilation)), f"{name}.norm")
        update = self.linear(self.gelu(self.linear(mixed, f"{name}.pw1")), f"{name}.pw2")
        return self.op("Add", x, self.swapped(self.op("Mul", self.weight(f"{name}.gamma"), update)))

    def attention(self, x: str, name: str, width: int) -> str:
        heads = self.op("Reshape", self.linear(x, f"{name}.in_proj_"), [0, 0, 3, HEADS, width // HEADS])
        heads = self.op("Transpose", heads, perm=[2, 0, 3, 1, 4])
        query, key, value = (self.op("Gather", heads, index, axis=0) for index in range(3))
        scores = self.op("MatMul", query, self.op("Transpose", key, perm=[0, 1, 3, 2]))
        weights = self.op("Softmax", self.op("Div", scores, (width / HEADS) ** 0.5), axis=-1)
        mixed = self.op("Transpose", self.op("MatMul", weights, value), perm=[0, 2, 1, 3])
        return self.linear(self.op("Reshape", mixed, [0, 0, width]), f"{name}.out_proj")

    def text_encoder(self, name: str, settings: Any) -> str:
        """Return the encoded symbols, ``[1, C, L]``."""
        x = self.swapped(self.op("Gather", self.weight(f"{name}.emb.weight"), "ids"))
        for number, dilation in enumerate(settings.dilations):
            x = self.block(x, f"{name}.convs.{number}", dilation)
        x = self.swapped(x)
        for _ in range(settings.passes):
            attended = self.attention(self.norm(x, f"{name}.attn.norm1"), f"{name}.attn.self_attn", settings.width)
            x = self.op("Add", x, attended)
            hidden = self.gelu(self.linear(self.norm(x, f"{name}.attn.norm2"), f"{name}.attn.linear1"))
            x = self.op("Add", x, self.linear(hidden, f"{name}.attn.linear2"))
        return self.swapped(self.norm(x, f"{name}.norm"))

    def owners(self, durations: str) -> str:
        """Return the number of the symbol that each step belongs to, ``[T]``, of durations ``[L]``."""
        ends = self.op("CumSum", durations, [0][0])
        total = self.op("ReduceSum", durations, keepdims=0)
        steps = self.op("Unsqueeze", self.op("Range", 0, total, 1), [1])
        behind = self.op("GreaterOrEqual", steps, self.op("Unsqueeze", ends, [0]))
        return self.op("ReduceSum", self.op("Cast", behind, to=TensorProto.INT64), [1], keepdims=0)


def hibari_graph(network: HibariNetwork) -> onnx.ModelProto:
    """Return a network as an ONNX model in float32."""
    graph, settings = _Graph(network), network.settings
    acoustic = graph.text_encoder("m.text", settings.acoustic_encoder)
    prosody = graph.text_encoder("pn.text", settings.prosody_encoder)
    logarithms = graph.convolution(graph.gelu(graph.convolution(prosody, "pn.dur.0")), "pn.dur.2")
    steps = graph.op("Sub", graph.op("Exp", graph.op("Reshape", logarithms, [-1])), 1.0)
    rounded = graph.op("Max", graph.op("Round", graph.op("Div", steps, "speed")), 1.0)
    owners = graph.owners(graph.op("Cast", rounded, to=TensorProto.INT64))
    x = graph.convolution(graph.op("Gather", prosody, owners, axis=2), "pn.pro_in")
    for number, dilation in enumerate(settings.prosody.dilations):
        x = graph.block(x, f"pn.pro.{number}", dilation)
    outputs = graph.op("Reshape", graph.convolution(x, "pn.pro_out"), [0, 2, 2, -1])
    outputs = graph.op("Reshape", graph.op("Transpose", outputs, perm=[0, 1, 3, 2]), [0, 2, -1])
    f0 = graph.op("Mul", graph.op("Gather", outputs, 0, axis=1), 100.0, outputs=["f0"])
    energy = graph.op("Mul", graph.op("Gather", outputs, 1, axis=1), 5.0)
    pitch = graph.op("Div", graph.op("Log", graph.op("Add", graph.op("Relu", f0), 1.0)), 5.0)
    rows = [graph.op("Unsqueeze", row, [1]) for row in (pitch, graph.op("Div", energy, 5.0))]
    columns = graph.op("Unsqueeze", graph.op("Gather", acoustic, owners, axis=2), [3])
    frames = graph.op("Reshape", graph.op("Tile", columns, [1, 1, 1, 2]), [0, settings.acoustic_encoder.width, -1])
    x = graph.convolution(graph.op("Concat", frames, *rows, axis=1), "m.dec_in")
    for number, dilation in enumerate(settings.decoder.dilations):
        x = graph.block(x, f"m.dec.{number}", dilation)
    head = graph.swapped(graph.linear(graph.norm(graph.swapped(x), "m.dec_norm"), "m.head"))
    graph.op("Split", head, [BINS] * 5, outputs=list(SPECTRA), axis=1)
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "L"]),
        helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
    ]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, BINS, "F"]) for name in SPECTRA]
    results.append(helper.make_tensor_value_info("f0", TensorProto.FLOAT, [1, "F"]))
    body = helper.make_graph(graph.nodes, "small voice", inputs, results, list(graph.initialisers.values()))
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def quantised(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    """Return a model whose matrices are whole numbers of 8 bits, rounded as those of the published files were."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source, target = folder / "float.onnx", folder / "int8.onnx"
    onnx.save(model, str(source))
    quantize_dynamic(
        str(source), str(target), op_types_to_quantize=["MatMul"], weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True, "WeightSymmetric": True},
    )  # fmt: skip
    return onnx.load(str(target))
