"""Find the network's tensors in an ONNX file, and turn whole numbers of 8 bits back into weights.

Most tensors have their names. The matrices have lost theirs: each is stored transposed, with one scale (or one for each
output), and multiplies in a chain ``MatMulInteger, Cast, Mul, Add``. The bias that the last operation adds has kept its
name, and so gives the matrix its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from vtune import EngineError
from vtune.errors import shown
from vtune.toolkit.onnx_graph import OnnxGraph, OnnxNode, OnnxTensor
from vtune_hibari.bases.names import ACOUSTIC, PROSODY

MAX_UNNAMED_VALUES = 64
"""Numbers of a tensor that is no weight of the network; larger ones are weights of something else."""


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of the network in a file: its shape in the network, and how it is read."""

    shape: tuple[int, ...]
    read: Callable[[], torch.Tensor]


@dataclass(frozen=True)
class QuantisedMatrix:
    """The names of what a file keeps of one matrix: whole numbers ``[in x out]``, their scale and their zero."""

    values: str
    scale: str
    zero_point: str


def find_tensors(graph: OnnxGraph) -> dict[str, StoredTensor]:
    """Return the tensors of a published voice by their names in its file; matrices as ``[out x in]``.

    Large tensors that nobody knows are among them, under their own names.

    :raises EngineError: a quantised matrix is not used as hibari uses it.
    """
    found = {
        name: StoredTensor(tensor.shape, tensor.read)
        for name, tensor in graph.tensors.items()
        if name.startswith((ACOUSTIC, PROSODY))
    }
    used: set[str] = set()
    for name, matrix in quantised_matrices(graph).items():
        found[name] = _dequantised(graph, name, matrix)
        used |= {matrix.values, matrix.scale, matrix.zero_point}
    for name, tensor in plain_matrices(graph).items():
        found[name] = StoredTensor(tensor.shape[::-1], _transposed(tensor))
        used.add(tensor.name)
    found |= {
        name: StoredTensor(tensor.shape, tensor.read)
        for name, tensor in graph.tensors.items()
        if name not in found and name not in used and tensor.name not in used and _is_large(tensor)
    }
    return found


def quantised_matrices(graph: OnnxGraph) -> dict[str, QuantisedMatrix]:
    """Return what the file keeps of each quantised matrix, by the matrix' name (``m.head.weight``).

    :raises EngineError: as for `find_tensors`.
    """
    users, producers = _users(graph), {name: node for node in graph.nodes for name in node.outputs}
    matrices: dict[str, QuantisedMatrix] = {}
    for node in graph.nodes:
        if node.operation != "MatMulInteger" or len(node.inputs) < 2 or not node.outputs:
            continue
        if node.inputs[1] not in graph.tensors:
            continue  # a product of two results
        cast = _only(users[node.outputs[0]], "Cast")
        product = _only(users[cast.outputs[0]], "Mul") if cast else None
        addition = _only(users[product.outputs[0]], "Add") if product else None
        scale = _scale_name(graph, product, cast, producers) if product and cast else None
        name = _weight_name(addition)
        if name is None or scale is None:
            raise EngineError(
                f"{graph.path}: the quantised matrix {shown(node.inputs[1])} is not used as in a published hibari "
                "voice, so nobody can tell which weight it is"
            )
        zero_point = node.inputs[3] if len(node.inputs) > 3 else ""
        matrices[name] = QuantisedMatrix(node.inputs[1], scale, zero_point)
    return matrices


def count_uses(graph: OnnxGraph) -> Counter[str]:
    """Return how many operations of a graph read each tensor, by the tensor's name."""
    return Counter(name for node in graph.nodes for name in set(node.inputs))


def find_dilations(graph: OnnxGraph) -> dict[str, int]:
    """Return the dilation of each convolution, by the name of its weight.

    :raises EngineError: a convolution has another number of dilations than one.
    """
    dilations = {}
    for node in graph.nodes:
        if node.operation == "Conv" and len(node.inputs) > 1:
            values = node.attributes.get("dilations") or (1,)
            if not isinstance(values, tuple) or len(values) != 1 or type(values[0]) is not int:
                raise EngineError(f"{graph.path}: a convolution has the dilations {shown(values)}, expected one number")
            dilations[node.inputs[1]] = values[0]
    return dilations


def plain_matrices(graph: OnnxGraph) -> dict[str, OnnxTensor]:
    """Return the matrices that a file in full precision keeps without names, ``[in x out]``."""
    users = _users(graph)
    matrices = {}
    for node in graph.nodes:
        if node.operation == "MatMul" and node.inputs and node.outputs and node.inputs[-1] in graph.tensors:
            name = _weight_name(_only(users[node.outputs[0]], "Add"))
            tensor = graph.tensors[node.inputs[-1]]
            if name is not None and not tensor.name.startswith((ACOUSTIC, PROSODY)):
                matrices[name] = tensor
    return matrices


def _users(graph: OnnxGraph) -> Mapping[str, list[OnnxNode]]:
    users: dict[str, list[OnnxNode]] = defaultdict(list)
    for node in graph.nodes:
        for name in node.inputs:
            users[name].append(node)
    return users


def _only(nodes: list[OnnxNode], operation: str) -> OnnxNode | None:
    return nodes[0] if len(nodes) == 1 and nodes[0].operation == operation and nodes[0].outputs else None


def _weight_name(addition: OnnxNode | None) -> str | None:
    """Return the name of the weight whose bias an operation adds."""
    for name in addition.inputs if addition else ():
        if name.startswith((ACOUSTIC, PROSODY)) and name.endswith("bias"):
            return name.removesuffix("bias") + "weight"
    return None


def _scale_name(graph: OnnxGraph, product: OnnxNode, cast: OnnxNode, producers: Mapping[str, OnnxNode]) -> str | None:
    """Return the name of the scale of a matrix: its product with the scale of the inputs multiplies the result."""
    scales = [producers.get(name) for name in product.inputs if name != cast.outputs[0]]
    if len(scales) != 1 or scales[0] is None or scales[0].operation != "Mul":
        return None
    stored = [name for name in scales[0].inputs if name in graph.tensors]
    return stored[0] if len(stored) == 1 else None


def _dequantised(graph: OnnxGraph, name: str, matrix: QuantisedMatrix) -> StoredTensor:
    """Return a matrix as ``[out x in]``: ``(q - zero point) * scale``."""
    values, scale = graph.tensors[matrix.values], graph.tensors[matrix.scale]
    zero_point = graph.tensors.get(matrix.zero_point)
    for tensor in filter(None, (scale, zero_point)):
        if tensor.shape not in ((), (1,), values.shape[1:]):
            raise EngineError(
                f"{graph.path}: {shown(tensor.name)}, which belongs to {shown(name)}, has the shape "
                f"{list(tensor.shape)}; expected one number, or one for each output"
            )

    def read() -> torch.Tensor:
        shifted = values.read().float()
        if zero_point is not None:
            shifted = shifted - zero_point.read().float()
        return (shifted * scale.read().float()).T.contiguous()

    return StoredTensor(values.shape[::-1], read)


def _transposed(tensor: OnnxTensor) -> Callable[[], torch.Tensor]:
    return lambda: tensor.read().T.contiguous()


def _is_large(tensor: OnnxTensor) -> bool:
    count = 1
    for size in tensor.shape:
        count *= size
    return count > MAX_UNNAMED_VALUES
