"""Published files: only their tensors are read, wrappers are removed, weight norm is folded, and each mismatch is one
line."""

from __future__ import annotations

import io
import logging
import os
import pickle
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from vtune import EngineError, load_engine
from vtune.testing import made_clip
from vtune.toolkit import read_tensors
from vtune_indextts2 import part_loaders
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.state_dicts import flatten_state_dict, fold_weight_norm, load_strictly


def refusal(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(EngineError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 600
    return message


def released_names(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return the state of a module with torch's parametrisation under the names that older versions of torch wrote."""
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    return {names.get(name, name): tensor for name, tensor in module.state_dict().items()}


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "conv1d": lambda: nn.Conv1d(6, 4, 3),
    "depthwise": lambda: nn.Conv1d(6, 6, 7, groups=6),
    "pointwise without a bias": lambda: nn.Conv1d(5, 2, 1, bias=False),
    "conv2d": lambda: nn.Conv2d(3, 4, (2, 5)),
    "transposed": lambda: nn.ConvTranspose1d(6, 4, 8, stride=4),
    "linear": lambda: nn.Linear(7, 3),
}

SEES = {
    "conv1d": (2, 6, 20),
    "depthwise": (2, 6, 20),
    "pointwise without a bias": (2, 5, 20),
    "conv2d": (2, 3, 6, 8),
    "transposed": (2, 6, 20),
    "linear": (2, 7),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_weight_norm_is_folded_into_the_weight_that_torch_computes(kind: str) -> None:
    torch.manual_seed(0)
    layer = weight_norm(LAYERS[kind]())
    with torch.no_grad():
        for parameter in layer.parameters():  # a magnitude of its own, not the one that the weight began with
            parameter.copy_(torch.randn_like(parameter))
    folded = fold_weight_norm(released_names(layer))
    plain = LAYERS[kind]()
    assert folded.keys() == plain.state_dict().keys()
    torch.testing.assert_close(folded["weight"], layer.weight, rtol=1e-6, atol=1e-6)
    load_strictly(plain, folded, "file")
    x = torch.randn(*SEES[kind])
    torch.testing.assert_close(plain(x), layer(x), rtol=1e-5, atol=1e-5)


def test_halves_of_a_pair_and_other_names_stay() -> None:
    tensors = {"a.weight_g": torch.ones(1), "b.weight_v": torch.ones(1), "weight_gain": torch.ones(1)}
    assert fold_weight_norm(tensors) == tensors
    pair = {"weight_g": torch.full((2, 1), 3.0), "weight_v": torch.tensor([[3.0, 4.0], [0.0, 2.0]])}
    torch.testing.assert_close(fold_weight_norm(pair)["weight"], torch.tensor([[1.8, 2.4], [0.0, 3.0]]))


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.builds(torch.zeros, st.integers(1, 3)),
        lambda inner: st.dictionaries(st.text("abc_", min_size=1, max_size=4), inner, min_size=1, max_size=3),
    ).filter(lambda tree: isinstance(tree, dict))
)
def test_nested_dictionaries_are_joined_by_dots(tree: dict[str, Any]) -> None:
    result = flatten_state_dict(tree, Path("file"))

    def walk(branch: dict[str, Any], path: tuple[str, ...]) -> int:
        count = 0
        for name, value in branch.items():
            if isinstance(value, dict):
                count += walk(value, (*path, name))
            else:
                assert result[".".join((*path, name))] is value
                count += 1
        return count

    assert walk(tree, ()) == len(result)


def test_what_is_no_tensor_is_left_out_and_the_prefix_of_parallel_training_comes_off() -> None:
    tree = {"module.a": torch.ones(1), "net": {"module.b": torch.ones(2), "epoch": 3}, "note": "x"}
    assert sorted(flatten_state_dict(tree, Path("file"))) == ["a", "net.b"]


@pytest.mark.parametrize("tree", [[1], "text", 3, torch.ones(2), None])
def test_no_dictionary_of_tensors_is_one_line(tree: object) -> None:
    assert "gpt.pth holds a " in refusal(flatten_state_dict, tree, Path("gpt.pth"))


# Filling a network


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(30))


def test_a_network_on_the_meta_device_is_filled(caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    given = Small()
    with torch.device("meta"):
        network = Small()
    assert load_strictly(network, given.state_dict(), "file") == []
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, given.state_dict()[name]), name
    assert not caplog.records


def test_entries_that_nothing_needs_are_named_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    tensors = {**Small().state_dict(), "decoder.weight": torch.ones(1), "epoch": torch.ones(1), "skip.x": torch.ones(1)}
    with caplog.at_level(logging.WARNING):
        assert load_strictly(Small(), tensors, "codec.safetensors", ["skip.*"]) == ["decoder.weight", "epoch"]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.startswith("codec.safetensors: 2 entries")
    assert "decoder.weight, epoch" in record.message


def test_what_is_missing_and_misshapen_is_named_in_one_line() -> None:
    tensors = dict(Small().state_dict())
    del tensors["first.bias"]
    tensors["norm.weight"] = torch.ones(5)
    tensors["nrom.weight"] = torch.ones(4)
    message = refusal(load_strictly, Small(), tensors, "codec.safetensors")
    assert message.startswith("codec.safetensors does not hold this network (67 tensors): ")
    assert "1 missing: first.bias" in message
    assert "1 of another shape: norm.weight is [5], should be [4]" in message
    assert "1 unexpected: nrom.weight" in message


def test_a_misfit_leaves_the_network_as_it_was() -> None:
    network = Small()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    tensors = {name: tensor + 1 for name, tensor in before.items()}
    refusal(load_strictly, network, {**tensors, "first.weight": torch.ones(9)}, "file")
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_misfit_of_everything_is_still_one_short_line() -> None:
    long = "a_rather_long_name_of_a_part"
    tensors = {f"{long}.{number * 'x'}.{long}.weight": torch.ones(3, 3) for number in range(1, 200)}
    misshapen = {name: torch.ones(9, 9, 9) for name in list(Small().state_dict())[:30]}
    message = refusal(load_strictly, Small(), {**tensors, **misshapen}, f"/{'a/' * 60}gpt.pth")
    assert "37 missing: " in message


# Reading files


def test_old_files_and_new_ones_hold_the_same(tmp_path: Path) -> None:
    content = {"model": {"a": torch.arange(4.0), "n": 3}, "note": "text"}
    torch.save(content, tmp_path / "new.pth")
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(content["model"] | {"n": torch.ones(1)}, str(tmp_path / "a.safetensors"))
    for name in ("new.pth", "old.pth"):
        assert torch.equal(read_tensors(tmp_path / name)["model"]["a"], torch.arange(4.0))
    assert torch.equal(read_tensors(tmp_path / "a.safetensors")["a"], torch.arange(4.0))


class Code:
    """An object whose pickle executes code when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["new", "old", "plain"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, form: str) -> None:
    content = {"model": {"a": torch.ones(2), "b": Code(tmp_path / "ran")}}
    path = tmp_path / "gpt.pth"
    if form == "plain":
        path.write_bytes(pickle.dumps({"b": Code(tmp_path / "ran")}, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "new")
    assert refusal(read_tensors, path).startswith(f"{path} cannot be read as a checkpoint: ")
    assert not (tmp_path / "ran").exists()


WRITTEN: dict[str, Callable[[], bytes]] = {
    "a.safetensors": lambda: save({"a": torch.ones(40, 20), "b": torch.zeros(1)}),
    "new.pth": lambda: _saved(True),
    "old.pth": lambda: _saved(False),
}


def _saved(new: bool) -> bytes:
    file = io.BytesIO()
    content = {"model": {"a.weight": torch.ones(40, 20), "n": 3, "x": [1, {"y": (2,)}]}, "net": {"q": torch.zeros(1)}}
    torch.save(content, file, _use_new_zipfile_serialization=new)
    return file.getvalue()


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("content", [b"", b"\0" * 3000, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"])
def test_what_is_no_checkpoint_is_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert str(tmp_path / name) in refusal(read_tensors, tmp_path / name)


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_cut_off_is_one_line(tmp_path: Path, name: str) -> None:
    content = WRITTEN[name]()
    for length in (1, 9, 100, len(content) // 2, len(content) - 1):
        (tmp_path / name).write_bytes(content[:length])
        assert str(tmp_path / name) in refusal(read_tensors, tmp_path / name)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("name", WRITTEN)
def test_damage_is_one_line_or_does_not_show(tmp_path: Path, name: str) -> None:
    """Bytes are changed, removed and inserted at random; the only errors are vtune's own."""
    chance = random.Random(0)
    content = WRITTEN[name]()
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(chance.choice([1, 1, 3])):
            position = chance.randrange(len(damaged))
            change = chance.choice(["set", "set", "cut", "put"])
            if change == "set":
                damaged[position] = chance.randrange(256)
            elif change == "cut":
                del damaged[position : position + chance.randrange(1, 20)]
            else:
                damaged[position:position] = chance.randbytes(3)
        (tmp_path / name).write_bytes(damaged)
        with suppress(EngineError):
            read_tensors(tmp_path / name)
            continue
        refused += 1
        refusal(read_tensors, tmp_path / name)
    assert refused > 20


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    assert "nowhere.pth" in refusal(read_tensors, tmp_path / "nowhere.pth")


# The GPT's file, in the forms that are about


@pytest.fixture(scope="module")
def official(tiny: Path) -> dict[str, torch.Tensor]:
    model: dict[str, torch.Tensor] = torch.load(tiny / "gpt.pth", weights_only=True)["model"]
    return model


FORMS: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
    "wrapped": lambda model: {"model": model, "epoch": 3},
    "bare": lambda model: model,
    "parallel": lambda model: {f"module.{name}": tensor for name, tensor in model.items()},
    "wrapped and parallel": lambda model: {"model": {f"module.{name}": tensor for name, tensor in model.items()}},
    "adapted": lambda model: {
        "model": {
            **{name.replace("c_attn.", "c_attn.base_layer."): tensor for name, tensor in model.items()},
            "gpt.h.0.attn.c_attn.lora_A.default.weight": torch.ones(2, 2),
        }
    },
    "assembled for inference": lambda model: {
        "model": {
            **model,
            "inference_model.transformer.h.0.ln_1.weight": torch.ones(1),
            "gpt.wte.weight": torch.ones(1, 2),
            "conditioning_encoder.embed.pos_enc.pe": torch.ones(1, 5, 2),
        }
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_gpts_file_gives_the_same_network(
    form: str,
    official: dict[str, torch.Tensor],
    make_base: Callable[..., IndexTTS2Base],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    torch.save(FORMS[form](official), tmp_path / "gpt.pth")
    config = make_base().config
    loaded = {
        **part_loaders.load_network(tmp_path / "gpt.pth", config, dropout=0.1).state_dict(),
        **part_loaders.load_conditioning_encoder(tmp_path / "gpt.pth", config).state_dict(),
    }
    assert loaded.keys() == official.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in official.items())
    assert not caplog.records


def test_an_entry_of_no_known_part_is_reported_once(
    official: dict[str, torch.Tensor],
    make_base: Callable[..., IndexTTS2Base],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    torch.save({"model": {**official, "duration_head.weight": torch.ones(2)}}, tmp_path / "gpt.pth")
    config = make_base().config
    part_loaders.load_network(tmp_path / "gpt.pth", config, dropout=0.1)
    part_loaders.load_conditioning_encoder(tmp_path / "gpt.pth", config)
    (record,) = caplog.records
    assert "duration_head.weight" in record.message
    assert str(tmp_path / "gpt.pth") in record.message


def test_files_in_half_precision_become_float32(
    make_base: Callable[..., IndexTTS2Base], tiny: Path, tmp_path: Path
) -> None:
    """The engine computes in float32; a smaller copy of a checkpoint is often kept in half precision."""
    folder = tmp_path / "half"
    shutil.copytree(tiny, folder)

    def halved(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: halved(inner) for name, inner in value.items()}
        return value.half() if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    for name in (
        "gpt.pth", "s2mel.pth", "feat1.pt", "feat2.pt", "wav2vec2bert_stats.pt", "campplus/campplus_cn_common.bin",
        "bigvgan/bigvgan_generator.pt",
    ):  # fmt: skip
        content = halved(torch.load(folder / name, weights_only=True))
        torch.save(content, folder / name)
    codec = folder / "semantic_codec/model.safetensors"
    save_file(halved(read_tensors(codec)), str(codec))
    base = make_base(base_model=str(folder))
    for part in (base.new_network(), *others(base)):
        assert {t.dtype for t in part.state_dict().values() if t.is_floating_point()} == {torch.float32}
    assert base.emotions.speakers.dtype == base.emotions.emotions.dtype == torch.float32
    clip = made_clip(22_050, 0.6, 0)
    assert load_engine("indextts2").extract_conditioning(base, [clip]).tensors["emotion"].dtype == np.float32


def others(base: IndexTTS2Base) -> list[nn.Module]:
    """Return everything except the network that learns."""
    return [base.codec, base.conditioning_encoder, base.speaker_model, base.s2mel, base.vocoder]


def test_loaded_parts_are_frozen_and_in_eval_mode(make_base: Callable[..., IndexTTS2Base]) -> None:
    base = make_base()
    for part in (base.new_network(), *others(base)):
        assert not part.training
        assert not any(parameter.requires_grad for parameter in part.parameters())
        assert not any(tensor.is_meta for tensor in part.state_dict().values())
