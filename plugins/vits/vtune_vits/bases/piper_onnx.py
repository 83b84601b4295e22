"""Piper's ONNX voices: which initialiser of the graph is which tensor of the network.

torch's exporter keeps the names of most parameters, but a weight that was computed (weight normalisation of the flow)
has no name, and equal parameters become one. The names of nodes tell the module they come from
(``/flow/flows.6/enc/in_layers.0/Conv``), so each tensor is taken from the node that uses it, or else by its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from vtune import EngineError
from vtune.toolkit.onnx_graph import OnnxGraph, OnnxNode, OnnxTensor, read_onnx_graph
from vtune_vits.bases.base_files import BaseFiles, fingerprint_of
from vtune_vits.bases.names import piper_name
from vtune_vits.bases.piper_json import find_json, read_licence, read_piper_json
from vtune_vits.bases.piper_shapes import Steps, has_duration_posterior, has_posterior, piper_settings

MAX_UNNAMED_VALUES = 64
"""Floating-point numbers of a tensor that no node of the network uses; larger ones are weights of something else."""

FILTERED = "dec.gains."
"""Beginning of the names of tensors that only a vocoder of source and filters has."""

_NAMED = re.compile(r"(enc_p|dp|flow|dec|enc_q|emb_g)\.[\w.]+$")
_NORM = re.compile(r".*\bnorms?_(layers_)?[12](\.\d+)?$")
_LOG_SCALES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Neg": lambda logs: logs,
    "Exp": lambda negative_logs: -negative_logs,
    "Mul": lambda scale: -scale.log(),
}
"""How ``dp.flows.0.logs`` is found in the constant of the node that begins ``exp(-logs)``; exporters compute a part of
it in advance, and how much depends on their version."""


def open_piper_onnx(path: Path) -> BaseFiles:
    """Return what is known of a Piper voice, ``voice.onnx`` with ``voice.onnx.json`` beside it.

    :raises FileRefused: a file is damaged, or the two do not belong together.
    :raises EngineError: the graph is no voice of Piper, or is quantised.
    """
    json = read_piper_json(find_json(path))
    graph = read_onnx_graph(path)
    tensors = _Tensors()
    tensors.collect(graph)
    shapes = {name: tensor.shape for name, tensor in tensors.by_name.items()}
    if any(name.startswith(FILTERED) for name in shapes):
        raise EngineError(
            f"{path} has a vocoder of source and filters, which vtune has put in the place of its base's own, so it "
            "cannot be a base; take the voice that it was made from, or the base of that voice"
        )
    settings = json.complete(piper_settings(shapes, tensors.steps(str(path)), str(path)))
    paths = (*graph.paths, json.path)
    return BaseFiles(
        format="piper_onnx",
        source=str(path),
        paths=paths,
        settings=settings,
        text=json.text,
        fingerprint=fingerprint_of(paths),
        has_posterior=has_posterior(shapes),
        has_duration_posterior=has_duration_posterior(shapes, settings),
        licence=read_licence(path.parent),
        read_tensors=tensors.read,
        name_in_file=piper_name,
    )


@dataclass
class _Tensors:
    """The tensors of a graph by their names in Piper's checkpoints, and the convolutions' attributes by module."""

    by_name: dict[str, OnnxTensor] = field(default_factory=dict)
    convolutions: dict[str, Mapping[str, object]] = field(default_factory=dict)

    def collect(self, graph: OnnxGraph) -> None:
        known = dict(graph.tensors)
        for node in graph.nodes:
            if node.operation in ("ConvInteger", "QLinearConv", "MatMulInteger", "DequantizeLinear"):
                raise EngineError(
                    f"{graph.path}: its weights are quantised ({node.operation}), and a base needs those that it was "
                    "made from; get the voice in full precision"
                )
            if node.operation == "Identity" and node.inputs and node.outputs and node.inputs[0] in known:
                known[node.outputs[0]] = known[node.inputs[0]]
        used: set[str] = set()
        for node in graph.nodes:
            for name, tensor in self._of_node(node, known):
                self.by_name[name] = tensor
                used.add(tensor.name)
        for name, tensor in known.items():
            if _NAMED.match(name):
                self.by_name.setdefault(name, tensor)
            elif tensor.name not in used and _is_large(tensor) and not _NAMED.match(tensor.name):
                self.by_name[name] = tensor  # reported as unexpected when the weights are loaded

    def _of_node(self, node: OnnxNode, known: Mapping[str, OnnxTensor]) -> list[tuple[str, OnnxTensor]]:
        """Return the network's tensors that a node reads, by name."""
        inputs = [known.get(name) for name in node.inputs]
        named: Iterable[tuple[str, OnnxTensor | None]]
        module = ".".join(node.name.strip("/").split("/")[:-1])
        if node.operation in ("Conv", "ConvTranspose"):
            if not _NAMED.match(f"{module}."):
                weight = node.inputs[1] if len(node.inputs) > 1 else ""
                module = weight.removesuffix(".weight") if _NAMED.match(weight) else ""
            if not module:
                return []
            self.convolutions[module] = node.attributes
            named = zip((f"{module}.weight", f"{module}.bias"), inputs[1:], strict=False)
        elif node.operation == "Gather" and module in ("enc_p.emb", "emb_g"):
            named = zip((f"{module}.weight",), inputs, strict=False)
        elif node.operation == "LayerNormalization" and _NORM.match(module):
            named = zip((f"{module}.gamma", f"{module}.beta"), inputs[1:], strict=False)
        elif node.operation in ("Mul", "Add") and _NORM.match(module):
            ending = "gamma" if node.operation == "Mul" else "beta"
            named = ((f"{module}.{ending}", tensor) for tensor in inputs if tensor and len(tensor.shape) == 1)
        elif node.operation == "Sub" and module == "dp.flows.0":
            named = (("dp.flows.0.m", tensor) for tensor in inputs if tensor)
        elif node.operation in _LOG_SCALES and module == "dp.flows.0":
            named = (("dp.flows.0.logs", _changed(tensor, _LOG_SCALES[node.operation])) for tensor in inputs if tensor)
        else:
            return []
        return [(name, tensor) for name, tensor in named if tensor is not None]

    def steps(self, source: str) -> Steps:
        """Return the strides and dilations of the vocoder and of the flow."""
        upsamplings = self._modules(r"dec\.ups\.(\d+)$")
        rates = tuple(self._step(module, "strides", source) for module in upsamplings)
        blocks = self._modules(r"dec\.resblocks\.(\d+)\.convs1?\.0$")
        dilations = []
        for module in blocks[: len(blocks) // max(len(rates), 1)]:
            siblings = self._modules(re.escape(module.removesuffix("0")) + r"(\d+)$")
            dilations.append(tuple(self._step(sibling, "dilations", source) for sibling in siblings))
        second_layer = "flow.flows.0.enc.in_layers.1"
        wavenet_dilation = self._step(second_layer, "dilations", source) if second_layer in self.convolutions else 1
        return Steps(rates, tuple(dilations), wavenet_dilation)

    def _modules(self, pattern: str) -> list[str]:
        """Return the convolutions whose names match, in the order of the number that the pattern finds."""
        matches = (re.match(pattern, module) for module in self.convolutions)
        return [match[0] for match in sorted(filter(None, matches), key=lambda match: int(match[1]))]

    def _step(self, module: str, attribute: str, source: str) -> int:
        values = self.convolutions[module].get(attribute, (1,))
        if not isinstance(values, tuple) or len(values) != 1 or type(values[0]) is not int:
            raise EngineError(f"{source}: the convolution {module} has {attribute} {values!r}, expected one number")
        return values[0]

    def read(self) -> dict[str, torch.Tensor]:
        """Read all tensors, by their names in Piper's checkpoints."""
        return {name: tensor.read() for name, tensor in self.by_name.items()}


def _changed(tensor: OnnxTensor, change: Callable[[torch.Tensor], torch.Tensor]) -> OnnxTensor:
    return replace(tensor, read=lambda: change(tensor.read()))


def _is_large(tensor: OnnxTensor) -> bool:
    count = 1
    for size in tensor.shape:
        count *= size
    return count > MAX_UNNAMED_VALUES and tensor.dtype_name.startswith(("float", "bfloat", "double"))
