"""Write an ONNX graph operation by operation: nodes, weights and constants, each under a name that readers know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune_vits.bases.names import piper_name

if TYPE_CHECKING:
    import onnx
    import torch
    from torch import nn

OPSET = 15
"""Version of ONNX's operators, as in the voices that Piper publishes; phones have old versions of ONNX Runtime."""


class Graph:
    """An ONNX graph in the making. Values are strings: each operation returns the names of its outputs.

    Weights have the names of Piper's checkpoints, such as ``dec.conv_pre.weight``, and a node that uses them has the
    name that torch's exporter gives it, such as ``/dec/conv_pre/Conv``, so readers of Piper's files find the weights.
    """

    def __init__(self, network: nn.Module) -> None:
        """:param network: a ``VitsNetwork``, whose weights the graph will have."""
        self._names = {id(parameter): piper_name(name) for name, parameter in network.named_parameters()}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._values = 0

    def op(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node with one output and return the name of the output."""
        return self.ops(kind, *inputs, outputs=1, name=name, **attributes)[0]

    def ops(self, kind: str, *inputs: str, outputs: int, name: str = "", **attributes: Any) -> list[str]:
        """Add a node with several outputs and return their names."""
        from onnx import helper

        values = [f"{kind.lower()}_{self._values + index}" for index in range(outputs)]
        self._values += outputs
        self.nodes.append(helper.make_node(kind, list(inputs), values, name or f"/{values[0]}", **attributes))
        return values

    def weight(self, parameter: torch.Tensor, *, as_convolution: bool = False) -> str:
        """Add a weight of the network in float32 under the name that it has in Piper's checkpoints.

        :param as_convolution: give the weight of a linear layer the shape of a convolution of width 1.
        """
        array = parameter.detach().to("cpu").float().numpy()
        return self._initializer(self._names[id(parameter)], array[..., None] if as_convolution else array)

    def floats(self, *numbers: float) -> str:
        """Return a constant of float32: a scalar, or ``[n]`` for several numbers."""
        return self._constant(np.asarray(numbers[0] if len(numbers) == 1 else numbers, np.float32))

    def doubles(self, number: float) -> str:
        """Return a constant of float64 without axes."""
        return self._constant(np.asarray(number, np.float64))

    def table(self, name: str, array: np.ndarray) -> str:
        """Add an array that is no weight under a name of its own."""
        return self._initializer(name, array)

    def ints(self, *numbers: int) -> str:
        """Return a constant of int64, ``[n]``."""
        return self._constant(np.asarray(numbers, np.int64))

    def integer(self, number: int) -> str:
        """Return a constant of int64 without axes."""
        return self._constant(np.asarray(number, np.int64))

    def _constant(self, array: np.ndarray) -> str:
        numbers = "_".join(str(number) for number in array.reshape(-1).tolist())
        return self._initializer(f"{array.dtype}{list(array.shape)}_{numbers}", array)

    def _initializer(self, name: str, array: np.ndarray) -> str:
        from onnx import numpy_helper

        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def conv(self, value: str, layer: Any) -> str:
        """Apply a convolution of torch, transposed or not, to ``[B, C, T]``."""
        kind = "ConvTranspose" if layer.transposed else "Conv"
        inputs = [value, self.weight(layer.weight)]
        if layer.bias is not None:
            inputs.append(self.weight(layer.bias))
        attributes = {
            "kernel_shape": list(layer.kernel_size),
            "strides": list(layer.stride),
            "dilations": list(layer.dilation),
            "group": layer.groups,
            "pads": list(layer.padding) * 2,
        }
        if kind == "ConvTranspose":
            attributes["output_padding"] = list(layer.output_padding)
        return self.op(kind, *inputs, name=node_name(inputs[1], kind), **attributes)

    def linear(self, value: str, layer: nn.Linear) -> str:
        """Apply a linear layer of torch to ``[B, C, T]`` as a convolution of width 1, as Piper has it."""
        inputs = [value, self.weight(layer.weight, as_convolution=True)]
        if layer.bias is not None:
            inputs.append(self.weight(layer.bias))
        return self.op("Conv", *inputs, name=node_name(inputs[1], "Conv"), kernel_shape=[1])

    def embed(self, ids: str, layer: nn.Embedding) -> str:
        """Look rows of a table up."""
        table = self.weight(layer.weight)
        return self.op("Gather", table, ids, name=node_name(table, "Gather"))

    def norm(self, value: str, layer: nn.LayerNorm) -> str:
        """Normalise ``[B, C, T]`` over the channels; ONNX Runtime makes one operation of these nodes."""
        rows = self.op("Transpose", value, perm=[0, 2, 1])
        centred = self.op("Sub", rows, self.op("ReduceMean", rows, axes=[-1]))
        variance = self.op("ReduceMean", self.op("Pow", centred, self.floats(2.0)), axes=[-1])
        deviation = self.op("Sqrt", self.op("Add", variance, self.floats(layer.eps)))
        scaled = self.op("Mul", self.op("Div", centred, deviation), self.weight(layer.weight))
        shifted = self.op("Add", scaled, self.weight(layer.bias))
        return self.op("Transpose", shifted, perm=[0, 2, 1])

    def split(self, value: str, sizes: Sequence[int], axis: int = 1) -> list[str]:
        """Divide a value along an axis."""
        return self.ops("Split", value, self.ints(*sizes), outputs=len(sizes), axis=axis)

    def slice(self, value: str, start: int, stop: int, axis: int, step: int = 1) -> str:
        """Take a part of an axis; ``stop`` may lie behind the end."""
        return self.op("Slice", value, self.ints(start), self.ints(stop), self.ints(axis), self.ints(step))

    def flip(self, value: str) -> str:
        """Reverse the order of the channels of ``[B, C, T]``."""
        return self.slice(value, -1, -(2**31), axis=1, step=-1)

    def unsqueeze(self, value: str, *axes: int) -> str:
        """Insert axes of length 1."""
        return self.op("Unsqueeze", value, self.ints(*axes))

    def squeeze(self, value: str, *axes: int) -> str:
        """Remove axes of length 1."""
        return self.op("Squeeze", value, self.ints(*axes))

    def dimension(self, value: str, axis: int) -> str:
        """Return the length of an axis, int64 ``[1]``."""
        return self.op("Shape", value, start=axis, end=axis + 1)

    def count_up(self, stop: str) -> str:
        """Return 0, 1, ... below ``stop``, an int64 without axes."""
        return self.op("Range", self.integer(0), stop, self.integer(1))

    def cast(self, value: str, kind: str) -> str:
        """Change the type of numbers: ``FLOAT``, ``DOUBLE``, ``INT64`` or ``BOOL``."""
        from onnx import TensorProto

        return self.op("Cast", value, to=getattr(TensorProto, kind))

    def model(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """Return the finished model, checked by the rules of ONNX."""
        import onnx
        from onnx import helper

        graph = helper.make_graph(self.nodes, "vits", list(inputs), list(outputs), list(self.initializers.values()))
        model = helper.make_model(graph, producer_name="vtune", opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        return model


IR_VERSION = 8
"""Version of ONNX's file format that goes with the operators: the newest one would shut out older runtimes."""


def node_name(weight: str, kind: str) -> str:
    """Name a node as torch's exporter names that of the layer with a weight.

    >>> node_name("flow.flows.0.enc.in_layers.1.weight", "Conv")
    '/flow/flows.0/enc/in_layers.1/Conv'
    """
    parts: list[str] = []
    for part in weight.split(".")[:-1]:
        if part.isdigit():
            parts[-1] += f".{part}"
        else:
            parts.append(part)
    return "/" + "/".join([*parts, kind])
