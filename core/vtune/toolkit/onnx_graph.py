"""Read the graph of an ONNX file: its nodes and its tensors, without the package onnx and without running anything.

An ONNX file is a protocol buffer (`onnx.proto` of the ONNX project); the field numbers below are that file's. The file
is mapped into memory, so that tensors cost nothing before they are read.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from vtune.errors import shown
from vtune.runtime.untrusted import FileRefused, open_regular, require_regular

MAX_FILE_BYTES = 1 << 30
"""Bytes of an ONNX file; the largest voice of Piper has 114 MB."""

MAX_NODES = 100_000
MAX_TENSORS = 20_000
MAX_AXES = 8

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_DTYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 6: torch.int32, 7: torch.int64, 10: torch.float16,
    11: torch.float64, 16: torch.bfloat16,
}  # fmt: skip
"""Number formats of tensors that are read, by their numbers in ONNX."""

_DTYPE_NAMES = {4: "uint16", 5: "int16", 8: "string", 9: "bool", 21: "uint4", 22: "int4"}

_EXTERNAL = 1

Value = int | memoryview


@dataclass(frozen=True)
class OnnxTensor:
    """A tensor of the file, read only when `read` is called."""

    name: str
    shape: tuple[int, ...]
    dtype_name: str
    read: Callable[[], torch.Tensor]


@dataclass(frozen=True)
class OnnxNode:
    """One operation of the graph; attributes are numbers, texts and lists of whole numbers."""

    name: str
    operation: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class OnnxGraph:
    """The graph of one file. Tensors are the initialisers and the values of ``Constant`` nodes, by name."""

    path: Path
    paths: tuple[Path, ...]
    """The file and the files beside it that hold its tensors."""

    inputs: tuple[str, ...]
    nodes: tuple[OnnxNode, ...]
    tensors: Mapping[str, OnnxTensor]


def read_onnx_graph(path: Path) -> OnnxGraph:
    """Read the graph of an ONNX file.

    :raises FileRefused: the file is no ONNX file, is cut off, or breaks a limit; in one line.
    :raises OSError: the file cannot be read.
    """
    data = _map_file(path)
    try:
        return _Reader(path, data).graph()
    except (ValueError, struct.error) as error:
        if isinstance(error, FileRefused):
            raise
        raise FileRefused(path, f"it is not a complete ONNX file ({error}); get the file again") from error


class _Reader:
    """Reads one file; remembers which files beside it hold tensors."""

    def __init__(self, path: Path, data: memoryview) -> None:
        self.path, self.data = path, data
        self.external: dict[Path, memoryview] = {}

    def graph(self) -> OnnxGraph:
        graphs = [value for number, value in _fields(self.data) if number == 7]
        if len(graphs) != 1:
            raise FileRefused(self.path, "it is not an ONNX file: it holds no graph")
        inputs: list[str] = []
        nodes: list[OnnxNode] = []
        tensors: dict[str, OnnxTensor] = {}
        for number, value in _fields(_bytes(graphs[0])):
            if number == 1:
                node = self._node(_bytes(value))
                nodes.append(node)
                constant = node.attributes.get("value")
                if node.operation == "Constant" and isinstance(constant, OnnxTensor) and node.outputs:
                    tensors[node.outputs[0]] = constant
            elif number == 5:
                tensor = self._tensor(_bytes(value))
                tensors[tensor.name] = tensor
            elif number == 11:
                inputs += [_text(name) for field, name in _fields(_bytes(value)) if field == 1]
            if len(nodes) > MAX_NODES or len(tensors) > MAX_TENSORS:
                raise FileRefused(self.path, f"it has more than {MAX_NODES:,} nodes or {MAX_TENSORS:,} tensors")
        if not nodes:
            raise FileRefused(self.path, "it is not an ONNX file: its graph has no nodes")
        return OnnxGraph(self.path, (self.path, *self.external), tuple(inputs), tuple(nodes), tensors)

    def _node(self, data: memoryview) -> OnnxNode:
        texts: dict[int, list[str]] = {1: [], 2: [], 3: [], 4: []}
        attributes: dict[str, Any] = {}
        for number, value in _fields(data):
            if number in texts:
                texts[number].append(_text(value))
            elif number == 5:
                name, content = self._attribute(_bytes(value))
                attributes[name] = content
        name, operation = ("".join(texts[number][-1:]) for number in (3, 4))
        return OnnxNode(name, operation, tuple(texts[1]), tuple(texts[2]), attributes)

    def _attribute(self, data: memoryview) -> tuple[str, Any]:
        name = ""
        content: Any = None
        integers: list[int] = []
        for number, value in _fields(data):
            if number == 1:
                name = _text(value)
            elif number == 3:
                content = _signed(value)
            elif number == 4:
                content = _text(value)
            elif number == 5:
                content = self._tensor(_bytes(value))
            elif number == 8:
                integers += _integers(value)
        return name, tuple(integers) if integers else content

    def _tensor(self, data: memoryview) -> OnnxTensor:
        shape: list[int] = []
        name, dtype_number, location = "", 0, 0
        raw: memoryview | None = None
        numbers: list[memoryview] = []
        integers: list[int] = []
        external: dict[str, str] = {}
        for number, value in _fields(data):
            if number == 1:
                shape += _integers(value)
            elif number == 2:
                dtype_number = _signed(value)
            elif number in (4, 10):  # float_data, double_data
                numbers.append(_bytes(value))
            elif number in (5, 7):  # int32_data, which also holds bytes and bits of half precision, and int64_data
                integers += _integers(value)
            elif number == 8:
                name = _text(value)
            elif number == 9:
                raw = _bytes(value)
            elif number == 13:
                pair = {field: _text(content) for field, content in _fields(_bytes(value))}
                external[pair.get(1, "")] = pair.get(2, "")
            elif number == 14:
                location = _signed(value)
        if len(shape) > MAX_AXES or any(not 0 <= size <= MAX_FILE_BYTES for size in shape):
            raise FileRefused(self.path, f"the tensor {shown(name)} has the impossible shape {shown(shape)}")
        dtype = _DTYPES.get(dtype_number)
        if dtype is None:
            dtype_name = _DTYPE_NAMES.get(dtype_number, f"number {dtype_number}")
            return OnnxTensor(name, tuple(shape), dtype_name, lambda: self._refuse_dtype(name, dtype_name))
        if location == _EXTERNAL:
            raw = self._external_data(name, external)
        elif raw is None:
            raw = memoryview(b"".join(numbers) or _packed(integers, dtype))
        count = _product(shape)
        if len(raw) != count * dtype.itemsize:
            raise FileRefused(
                self.path,
                f"the tensor {shown(name)} has {len(raw):,} bytes, and its shape {shown(shape)} needs "
                f"{count * dtype.itemsize:,}",
            )

        def read(content: memoryview = raw, dtype: torch.dtype = dtype) -> torch.Tensor:
            if not content.nbytes:
                return torch.empty(shape, dtype=dtype)
            return torch.frombuffer(bytearray(content), dtype=dtype).reshape(shape)

        return OnnxTensor(name, tuple(shape), str(dtype).removeprefix("torch."), read)

    def _refuse_dtype(self, name: str, dtype_name: str) -> torch.Tensor:
        raise FileRefused(self.path, f"the tensor {shown(name)} holds {dtype_name}, which vtune does not read")

    def _external_data(self, name: str, entries: Mapping[str, str]) -> memoryview:
        """Return the bytes of a tensor that lies in a file beside the graph, never in another folder."""
        location = entries.get("location", "")
        if not location or PurePosixPath(location).name != location or "\\" in location or location in (".", ".."):
            raise FileRefused(
                self.path,
                f"the tensor {shown(name)} lies in {shown(location)}, and vtune reads tensors only from files "
                "directly beside the ONNX file",
            )
        path = self.path.parent / location
        if path not in self.external:
            if not path.is_file() or (path.is_symlink() and path.resolve().parent != self.path.resolve().parent):
                raise FileRefused(self.path, f"its tensors lie in {shown(location)}, and no such file is beside it")
            self.external[path] = _map_file(path)
        data = self.external[path]
        offset, length = (int(entries.get(key) or default) for key, default in (("offset", 0), ("length", -1)))
        length = len(data) - offset if length < 0 else length
        if offset < 0 or length < 0 or offset + length > len(data):
            raise FileRefused(self.path, f"the tensor {shown(name)} lies beyond the end of {shown(location)}")
        return data[offset : offset + length]


def _map_file(path: Path) -> memoryview:
    require_regular(path)
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if not 0 < size <= MAX_FILE_BYTES:
            raise FileRefused(path, f"it has {size:,} bytes, expected 1 to {MAX_FILE_BYTES:,}")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield the number and the value of each field of a message.

    :raises ValueError: the message ends too early, or has a field of an unknown kind.
    """
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        kind = key & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, position = _varint(data, position)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if size > end - position:
            raise ValueError(f"{size:,} bytes announced, {end - position:,} left")
        yield key >> 3, data[position : position + size]
        position += size


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """Return an unsigned number of variable length, and the position behind it."""
    result = shift = 0
    while position < len(data):
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than ten bytes")
    raise ValueError("the end of the file within a number")


def _bytes(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number in place of a message")
    return value


def _text(value: Value) -> str:
    return str(_bytes(value), "utf-8")  # UnicodeDecodeError is a ValueError


def _signed(value: Value) -> int:
    """Return a whole number of 64 bits with its sign."""
    if not isinstance(value, int):
        raise ValueError("a message in place of a number")
    return value - (1 << 64) if value >= 1 << 63 else value


def _integers(value: Value) -> list[int]:
    """Return one whole number, or a packed list of them."""
    if isinstance(value, int):
        return [_signed(value)]
    numbers: list[int] = []
    position = 0
    while position < len(value):
        number, position = _varint(value, position)
        numbers.append(_signed(number))
    return numbers


def _packed(integers: list[int], dtype: torch.dtype) -> bytes:
    """Return whole numbers, or the bits of half-precision numbers, as the little-endian bytes of their format."""
    kind = "b" if dtype == torch.int8 else {1: "B", 2: "H", 4: "i", 8: "q"}[dtype.itemsize]
    return struct.pack(f"<{len(integers)}{kind}", *integers)


def _product(sizes: list[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product
