"""What is told of a base, and what is refused: every tensor that is missing, unexpected, misshapen or absurd."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_hibari import SMALL, new_base, small_network, write_small_onnx

from vtune import EngineError
from vtune.runtime.untrusted import FileRefused
from vtune_hibari import merged
from vtune_hibari.bases import base_formats, open_base, package
from vtune_hibari.bases.names import name_in_file
from vtune_hibari.bases.package import PublishedVoice
from vtune_hibari.network.speaker import folded_weights
from vtune_hibari.network.voice import new_network

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return write_small_onnx(tmp_path / "plain", int8=False)


def changed(path: Path, change) -> Path:
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, str(path))
    return path


def set_tensor(graph, name: str, array: np.ndarray) -> None:
    (tensor,) = (tensor for tensor in graph.initializer if tensor.name == name)
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, name))


def test_shapes_passes_and_dilations_are_read_from_the_graph(small_onnx: Path) -> None:
    files = open_base(str(small_onnx))
    assert files.settings == SMALL
    assert files.accent is None
    assert files.fingerprint == open_base(str(small_onnx)).fingerprint


def test_names_of_the_network_and_of_the_file() -> None:
    assert name_in_file("decoder.blocks.3.expand.weight") == "m.dec.3.pw1.weight"
    assert name_in_file("prosody_encoder.layer.attention.in_proj.bias") == "pn.text.attn.self_attn.in_proj_bias"
    assert name_in_file("acoustic_encoder.blocks.0.scale") == "m.text.convs.0.gamma"
    assert name_in_file("acoustic_encoder.layer.norm1.weight") == "m.text.attn.norm1.weight"
    assert name_in_file("duration_predictor.conv_out.bias") == "pn.dur.2.bias"
    names = [name_in_file(name) for name in folded_weights(small_network())]
    assert len(set(names)) == len(names)


def test_every_tensor_that_does_not_fit_is_named(plain: Path) -> None:
    def change(graph) -> None:
        set_tensor(graph, "m.dec.1.pw2.bias", np.zeros(3, np.float32))
        for tensor in graph.initializer:
            if tensor.name in ("pn.dur.2.bias", "m.dec_norm.bias"):
                tensor.name = f"x.{tensor.name}"
        graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((9, 9), np.float32), "m.extra"))
        graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((9, 9), np.float32), "stranger"))

    base = new_base(changed(plain, change))
    with pytest.raises(EngineError) as error:
        base.new_network()
    message = str(error.value)
    assert "2 missing: m.dec_norm.bias, pn.dur.2.bias" in message
    assert "2 unexpected: m.extra, stranger" in message
    assert "1 of another shape: m.dec.1.pw2.bias is [3], should be [16]" in message
    assert "\n" not in message


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_absurd_weights_are_refused(plain: Path, value: float) -> None:
    path = changed(plain, lambda graph: set_tensor(graph, "m.dec_norm.bias", np.full(16, value, np.float32)))
    with pytest.raises(EngineError, match=r"the tensor m\.dec_norm\.bias holds"):
        new_base(path).new_network()


def test_nothing_is_copied_if_anything_does_not_fit(plain: Path) -> None:
    path = changed(plain, lambda graph: set_tensor(graph, "m.dec_norm.bias", np.full(16, np.nan, np.float32)))
    network = new_network(SMALL)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(EngineError):
        open_base(str(path)).load(network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("name", "array", "problem"),
    [
        ("m.dec.0.gamma", np.zeros(5000, np.float32), "width is 5000, expected 1 to 1024"),
        ("m.dec.0.dw.weight", np.zeros((16, 1, 4), np.float32), "has the kernel 4, expected an odd number"),
        ("m.text.emb.weight", np.zeros((20, 8), np.float32), "has 20 rows, and the alphabet of hibari needs 178"),
        ("m.text.emb.weight", np.zeros(20, np.float32), "no hibari voice|expected|shape|axes"),
    ],
)
def test_shapes_that_no_voice_has_are_refused_before_any_memory_is_taken(
    plain: Path, name: str, array: np.ndarray, problem: str
) -> None:
    with pytest.raises(EngineError, match=problem):
        new_base(changed(plain, lambda graph: set_tensor(graph, name, array))).new_network()


def test_a_matrix_that_is_used_otherwise_is_refused(small_onnx: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(small_onnx.read_bytes())

    def change(graph) -> None:
        node = next(node for node in graph.node if node.op_type == "Cast" and "quantized" in node.input[0])
        node.op_type = "Identity"
        del node.attribute[:]

    with pytest.raises(EngineError, match="is not used as in a published hibari voice"):
        open_base(str(changed(path, change)))


def test_a_file_that_is_none_of_hibaris_or_damaged(tmp_path: Path, small_onnx: Path) -> None:
    other = tmp_path / "other.onnx"
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "other", [], [])), str(other))
    with pytest.raises(EngineError, match=r"is no hibari voice: it needs the tensor m\.text\.emb\.weight"):
        open_base(str(other))
    other.write_bytes(small_onnx.read_bytes()[:5000])
    with pytest.raises((EngineError, FileRefused)):
        open_base(str(other))


def test_a_merged_network_is_a_base_with_the_same_weights(small_onnx: Path, tmp_path: Path) -> None:
    base = new_base(small_onnx)
    network = base.new_network()
    (path,) = merged.save(base.files, network, tmp_path)
    again = new_base(path)
    assert again.files.settings == base.files.settings
    for name, tensor in again.new_network().state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name
    assert new_base(tmp_path).files.path == path


def test_a_merged_file_without_its_header_is_refused(small_onnx: Path, tmp_path: Path) -> None:
    base = new_base(small_onnx)
    (path,) = merged.save(base.files, base.new_network(), tmp_path)
    save_file(load_file(path), path)
    with pytest.raises(EngineError, match="passes is 0, expected 1 to 32"):
        open_base(str(path))
    path.write_bytes(b"no tensors")
    with pytest.raises(EngineError, match="is no complete safetensors file"):
        open_base(str(path))


def test_names_of_voices_files_and_folders_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"there is no file 'missing\.onnx'"):
        open_base("missing.onnx")
    with pytest.raises(EngineError, match=r"should hold one base.*it holds none"):
        open_base(str(tmp_path))
    pytest.importorskip("hibari")
    with pytest.raises(EngineError, match="no published voice 'hart'; did you mean 'heart'"):
        open_base("hart")


def test_a_missing_package_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "DISTRIBUTION", "a-package-that-nobody-has")
    with pytest.raises(EngineError, match=r"is missing; install vtune-tts with the extra 'hibari'"):
        package.package_file("hibari.onnx")


def test_the_voices_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hibari")
    voices = package.published_voices()
    assert voices["heart"].bundled
    assert not voices["heart"].british
    assert voices["emma"].british
    assert open_base("heart").accent == "american"


def test_a_voice_from_the_hub_has_the_content_of_the_packages_list(
    small_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hashlib import sha256

    right = sha256(small_onnx.read_bytes()).hexdigest()
    voices = {name: PublishedVoice(name, "x.onnx", False, True, digest) for name, digest in (("a", right), ("b", "0"))}
    monkeypatch.setattr(base_formats, "published_voices", lambda: voices)
    monkeypatch.setattr(base_formats, "fetch_file", lambda repository, file: small_onnx)
    assert open_base("a").accent == "british"
    with pytest.raises(EngineError, match="the voice 'b' should have the SHA-256"):
        open_base("b")
    monkeypatch.setattr(base_formats, "fetch_file", lambda repository, file: None)
    with pytest.raises(EngineError, match="has no voice 'a'"):
        open_base("a")
