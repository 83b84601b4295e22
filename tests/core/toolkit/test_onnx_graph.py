"""The reader of ONNX files against the package onnx, which writes and reads the same files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from small_voice import piper_graph, small_network

from vtune.runtime.untrusted import FileRefused
from vtune.toolkit.onnx_graph import read_onnx_graph


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return piper_graph(small_network())


def test_nodes_and_tensors_are_those_that_onnx_reads(model: onnx.ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "voice.onnx"
    onnx.save(model, str(path))
    graph = read_onnx_graph(path)
    assert [(n.name, n.operation, n.inputs, n.outputs) for n in graph.nodes] == [
        (n.name, n.op_type, tuple(n.input), tuple(n.output)) for n in model.graph.node
    ]
    for node, expected in zip(graph.nodes, model.graph.node, strict=True):
        attributes = {attribute.name: tuple(helper.get_attribute_value(attribute)) for attribute in expected.attribute}
        assert node.attributes == attributes
    assert graph.inputs == ("input",)
    assert graph.tensors.keys() == {tensor.name for tensor in model.graph.initializer}
    for tensor in model.graph.initializer:
        assert graph.tensors[tensor.name].shape == tuple(tensor.dims)
        np.testing.assert_array_equal(graph.tensors[tensor.name].read().numpy(), numpy_helper.to_array(tensor))


def _one_tensor(tensor: onnx.TensorProto, *nodes: onnx.NodeProto) -> onnx.ModelProto:
    nodes = nodes or (helper.make_node("Identity", ["x"], ["y"]),)
    return helper.make_model(helper.make_graph(list(nodes), "one", [], [], [tensor]))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8", "int32", "int64"])
@pytest.mark.parametrize("raw", [True, False])
def test_tensors_of_all_number_formats(tmp_path: Path, dtype: str, raw: bool) -> None:
    values = np.array([[-3, 0, 7], [100, -90, 2]]).astype(dtype)
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    data = values.tobytes() if raw else values.ravel().tolist()
    path = tmp_path / "one.onnx"
    onnx.save(_one_tensor(helper.make_tensor("t", kind, values.shape, data, raw=raw)), str(path))
    np.testing.assert_array_equal(read_onnx_graph(path).tensors["t"].read().numpy(), values)


def test_the_value_of_a_constant_node_is_a_tensor(tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.float32([1, 2]), "inner"))
    path = tmp_path / "one.onnx"
    onnx.save(_one_tensor(numpy_helper.from_array(np.float32([0]), "t"), constant), str(path))
    assert read_onnx_graph(path).tensors["c"].read().tolist() == [1, 2]


def test_tensors_in_a_file_beside_the_graph(model: onnx.ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "voice.onnx"
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    onnx.save(copy, str(path), save_as_external_data=True, location="voice.data", size_threshold=16)
    graph = read_onnx_graph(path)
    assert graph.paths == (path, tmp_path / "voice.data")
    for tensor in model.graph.initializer:
        np.testing.assert_array_equal(graph.tensors[tensor.name].read().numpy(), numpy_helper.to_array(tensor))


@pytest.mark.parametrize(
    "location", ["../voice.data", "/etc/passwd", "sub/voice.data", "", "..", "a\\b", "missing.data"]
)
def test_tensors_in_another_folder_are_refused(tmp_path: Path, location: str) -> None:
    tensor = onnx.TensorProto(name="t", dims=[1], data_type=1, data_location=1)
    tensor.external_data.add(key="location", value=location)
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "voice.data").write_bytes(bytes(4))
    path = folder / "voice.onnx"
    path.write_bytes(_one_tensor(tensor).SerializeToString())
    with pytest.raises(FileRefused, match="beside"):
        read_onnx_graph(path)


def test_a_link_to_another_folder_is_refused(tmp_path: Path) -> None:
    tensor = onnx.TensorProto(name="t", dims=[1], data_type=1, data_location=1)
    tensor.external_data.add(key="location", value="link.data")
    (tmp_path / "secret").write_bytes(bytes(4))
    path = tmp_path / "folder" / "voice.onnx"
    path.parent.mkdir()
    (path.parent / "link.data").symlink_to(tmp_path / "secret")
    path.write_bytes(_one_tensor(tensor).SerializeToString())
    with pytest.raises(FileRefused, match="beside"):
        read_onnx_graph(path)


@pytest.mark.parametrize(
    ("key", "value"), [("offset", "-4"), ("offset", "999"), ("length", "5000000"), ("offset", "x")]
)
def test_tensors_beyond_the_end_of_their_file_are_refused(tmp_path: Path, key: str, value: str) -> None:
    tensor = onnx.TensorProto(name="t", dims=[2], data_type=1, data_location=1)
    tensor.external_data.add(key="location", value="voice.data")
    tensor.external_data.add(key=key, value=value)
    (tmp_path / "voice.data").write_bytes(bytes(8))
    path = tmp_path / "voice.onnx"
    path.write_bytes(_one_tensor(tensor).SerializeToString())
    with pytest.raises(FileRefused):
        read_onnx_graph(path)


@pytest.mark.parametrize("shape", [[-1], [1 << 40], [1 << 20] * 3, [1] * 9, [3]])
def test_impossible_shapes_are_refused(tmp_path: Path, shape: list[int]) -> None:
    path = tmp_path / "voice.onnx"
    path.write_bytes(
        _one_tensor(onnx.TensorProto(name="t", dims=shape, data_type=1, raw_data=bytes(8))).SerializeToString()
    )
    with pytest.raises(FileRefused, match="shape"):
        read_onnx_graph(path)


def test_a_file_cut_off_or_damaged_anywhere_is_refused_in_one_line_or_read(
    model: onnx.ModelProto, tmp_path: Path
) -> None:
    content = model.SerializeToString()
    path = tmp_path / "voice.onnx"
    generator = np.random.default_rng(0)
    for cut in [*generator.integers(0, len(content), 60), 0, 1, len(content) - 1]:
        path.write_bytes(content[:cut])
        assert "\n" not in _refusal(path)
    refusals = []
    for _ in range(60):
        damaged = bytearray(content)
        for position in generator.integers(0, len(content), 3):
            damaged[position] = generator.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read_onnx_graph(path)
        except FileRefused as error:
            refusals.append(str(error))
    assert refusals
    assert not any("\n" in refusal for refusal in refusals)


def _refusal(path: Path) -> str:
    with pytest.raises(FileRefused) as caught:
        read_onnx_graph(path)
    return str(caught.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    import os

    path = tmp_path / "voice.onnx"
    for content in (b"", b"PK\x03\x04 a zip", b"\x80\x04. a pickle", b"{}", bytes(1000)):
        path.write_bytes(content)
        with pytest.raises(FileRefused):
            read_onnx_graph(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FileRefused, match="FIFO"):
        read_onnx_graph(path)
    with pytest.raises(FileRefused, match="folder"):
        read_onnx_graph(tmp_path)
