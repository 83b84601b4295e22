"""Bases that a stranger made: each is refused in one line, and none runs code, waits or fills the memory."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_voice import (
    PHONEMES,
    small_network,
    small_settings,
    write_piper_checkpoint,
    write_piper_pair,
    write_transformers_folder,
)

from vtune.errors import VtuneError
from vtune_vits.bases import open_base
from vtune_vits.network.voice import new_network


def _load(path: Path) -> None:
    files = open_base(path)
    files.load(new_network(files.settings))


def _refusal(path: Path) -> str:
    with pytest.raises(VtuneError) as caught:
        _load(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


IDS = {symbol: [number] for number, symbol in enumerate(PHONEMES)}

JSON_CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "an id outside the table": ({"phoneme_id_map": {**IDS, "a": [10_000]}}, "phoneme_id_map['a'] is [10000]"),
    "a negative id": ({"phoneme_id_map": {**IDS, "a": [-1]}}, "phoneme_id_map['a'] is [-1]"),
    "an id that is a text": ({"phoneme_id_map": {**IDS, "a": "4"}}, "a list of whole numbers"),
    "an id that is a fraction": ({"phoneme_id_map": {**IDS, "a": [4.5]}}, "a list of whole numbers"),
    "no beginning": ({"phoneme_id_map": {s: n for s, n in IDS.items() if s != "^"}}, "an entry for ^"),
    "a table that is a list": ({"phoneme_id_map": [1, 2]}, "phoneme_id_map is [1, 2], expected an object"),
    "no audio": ({"audio": None}, "audio is None"),
    "a rate that is a text": ({"audio": {"sample_rate": "22050"}}, "audio.sample_rate is '22050'"),
    "a rate of 0": ({"audio": {"sample_rate": 0}}, "audio.sample_rate is 0"),
    "a rate that is true": ({"audio": {"sample_rate": True}}, "audio.sample_rate is True"),
    "a voice that is an option": ({"espeak": {"voice": "../../en"}}, "espeak.voice"),
    "noise that is a list": ({"inference": {"noise_scale": []}}, "inference.noise_scale is []"),
    "noise that is no number": ({"inference": {"noise_w": float("nan")}}, "inference.noise_w is nan"),
    "a length of 0": ({"inference": {"length_scale": 0}}, "length_scale is 0.0"),
    "an unknown phonemiser": ({"phoneme_type": "pinyin"}, "phoneme_type is 'pinyin'"),
    "a phonemiser that is a list": ({"phoneme_type": ["espeak"]}, "phoneme_type is ['espeak']"),
    "symbols without end": ({"num_symbols": 10**12}, "num_symbols is 1000000000000"),
    "speakers that are no table": ({"speaker_id_map": [1]}, "speaker_id_map is [1]"),
    "a speaker that is not there": ({"speaker_id_map": {"ann": 7}}, "speaker_id_map['ann'] is 7"),
    "clusters that are numbers": ({"vowel_clusters": [1]}, "vowel_clusters is [1]"),
    "clusters that are a table": ({"vowel_clusters": {"a": 1}}, "vowel_clusters"),
    "replacements that are texts": ({"phoneme_map": {"a": "b"}}, "phoneme_map['a'] is 'b'"),
    "a first speaker that is a text": ({"default_speaker_id": "ann"}, "default_speaker_id is 'ann'"),
}


@pytest.mark.parametrize("name", JSON_CHANGES)
def test_a_json_with_wrong_entries(tmp_path: Path, name: str) -> None:
    changes, expected = JSON_CHANGES[name]
    assert expected in _refusal(write_piper_pair(tmp_path, **changes))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1, "a": 2}', "[" * 5000, "\x00\xff"])
def test_a_json_that_is_none(tmp_path: Path, content: str) -> None:
    path = write_piper_pair(tmp_path)
    path.with_name("small.onnx.json").write_text(content, "latin-1")
    assert "small.onnx.json" in _refusal(path)


def test_a_pair_without_its_json_and_files_that_never_end(tmp_path: Path) -> None:
    path = write_piper_pair(tmp_path)
    document = path.with_name("small.onnx.json")
    document.unlink()
    assert "needs its JSON" in _refusal(path)
    os.mkfifo(document)
    assert "FIFO" in _refusal(path)


def test_a_checkpoint_that_would_run_code(tmp_path: Path) -> None:
    class Command:
        def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
            return os.mkdir, (str(tmp_path / "harm"),)

    path = write_piper_checkpoint(tmp_path)
    content = torch.load(path, weights_only=False)
    content["hyper_parameters"]["dataset"] = Command()
    torch.save(content, path)
    assert "more than tensors" in _refusal(path)
    path.write_bytes(pickle.dumps(Command()))
    assert "more than tensors" in _refusal(path)
    assert not (tmp_path / "harm").exists()


def _without_hyper_parameters(content: dict[str, Any]) -> None:
    del content["hyper_parameters"]


def _with(section: str, name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        content[section][name] = value

    return change


CHECKPOINT_CHANGES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "without hyper_parameters": (_without_hyper_parameters, "lacks state_dict or hyper_parameters"),
    "rates that are a number": (_with("hyper_parameters", "upsample_rates", 8), "upsample_rates is 8"),
    "rates that are code": (_with("hyper_parameters", "upsample_rates", "exit()"), "upsample_rates is 'exit()'"),
    "rates that do not end": (_with("hyper_parameters", "upsample_rates", "(" * 9000), "upsample_rates"),
    "rates that do not fit": (_with("hyper_parameters", "upsample_rates", (8, 8)), "do not fit together"),
    "rates of 0": (_with("hyper_parameters", "upsample_rates", (8, 8, 0)), "numbers from 1 to 1024"),
    "an endless hop": (_with("hyper_parameters", "upsample_rates", (1024, 1024, 1024)), "an upsampling by 1024"),
    "dilations that are texts": (_with("hyper_parameters", "resblock_dilation_sizes", [["1"]]), "dilation"),
    "a layer far away": (
        _with("state_dict", "model_g.enc_p.encoder.attn_layers.99999999.x", torch.zeros(1)),
        "layers is 100000000",
    ),
    "an entry of something else": (_with("state_dict", "model_x.weight", torch.zeros(1)), "model_x.weight"),
    "an entry that is a text": (_with("state_dict", "model_g.x", "hello"), "no tensor with a name"),
    "whole numbers as weights": (
        _with("state_dict", "model_g.enc_p.proj.bias", torch.zeros(16, dtype=torch.int32)),
        "floating-point",
    ),
    "a huge weight": (_with("state_dict", "model_g.enc_p.proj.bias", torch.full((16,), 1e30)), "holds 1e+30"),
}


@pytest.mark.parametrize("name", CHECKPOINT_CHANGES)
def test_a_checkpoint_with_wrong_entries(tmp_path: Path, name: str) -> None:
    change, expected = CHECKPOINT_CHANGES[name]
    path = write_piper_checkpoint(tmp_path)
    content = torch.load(path, weights_only=False)
    change(content)
    torch.save(content, path)
    assert expected in _refusal(path)


def test_a_checkpoint_cut_off(tmp_path: Path) -> None:
    path = write_piper_checkpoint(tmp_path)
    path.write_bytes(path.read_bytes()[:5000])
    assert "cannot be read as a checkpoint" in _refusal(path)


CONFIG_CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "another model": ({"model_type": "bert"}, "model_type is 'bert', expected 'vits'"),
    "a size that is a text": ({"hidden_size": "16"}, "hidden_size is '16'"),
    "a size without end": ({"hidden_size": 10**9}, "hidden_size is 1000000000"),
    "heads that do not divide": ({"num_attention_heads": 3}, "no multiple of its 3 heads"),
    "an odd flow": ({"flow_size": 9}, "flow_size 9 is odd"),
    "a vocabulary without end": ({"vocab_size": 10**9}, "1000000000 symbols"),
    "an unknown activation": ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
    "a rate of speaking of 0": ({"speaking_rate": 0}, "speaking_rate is 0"),
    "noise that is a text": ({"noise_scale": "much"}, "noise_scale is 'much'"),
    "rates that are a number": ({"upsample_rates": 8}, "upsample_rates is 8"),
    "rates that are texts": ({"upsample_rates": ["8"]}, "upsample_rates"),
    "dilations that are numbers": ({"resblock_dilation_sizes": [1, 2, 3]}, "resblock_dilation_sizes"),
    "speakers without an embedding": ({"num_speakers": 3}, "3 speakers with an embedding of 0 channels"),
    "a flag that is a number": ({"use_bias": 1}, "use_bias is 1"),
    "sizes that are not those of the weights": ({"ffn_dim": 40}, "of another shape"),
}


@pytest.mark.parametrize("name", CONFIG_CHANGES)
def test_a_model_of_transformers_with_wrong_entries(transformers_folder: Path, name: str) -> None:
    changes, expected = CONFIG_CHANGES[name]
    path = transformers_folder / "config.json"
    original = path.read_text("utf-8")
    path.write_text(json.dumps({**json.loads(original), **changes}), "utf-8")
    try:
        assert expected in _refusal(transformers_folder)
    finally:
        path.write_text(original, "utf-8")


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("vocab.json", '{"a": 9000}', "'a' has the id 9000"),
        ("vocab.json", '{"a": "0"}', "'a' has the id '0'"),
        ("vocab.json", "[]", "must hold a JSON object"),
        ("tokenizer_config.json", '{"add_blank": "yes"}', "add_blank is 'yes'"),
        ("tokenizer_config.json", '{"language": 3}', "language is 3"),
        ("model.safetensors", "not safetensors", "cannot be read"),
    ],
)
def test_a_model_of_transformers_with_wrong_files(
    transformers_folder: Path, file: str, content: str, expected: str
) -> None:
    path = transformers_folder / file
    original = path.read_bytes()
    path.write_text(content, "utf-8")
    try:
        assert expected in _refusal(transformers_folder)
    finally:
        path.write_bytes(original)


def test_a_folder_that_holds_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    assert "FIFO" in _refusal(tmp_path)


@pytest.fixture(scope="module")
def transformers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_transformers_folder(tmp_path_factory.mktemp("model"))


def test_quantised_weights_are_no_base(tmp_path: Path) -> None:
    import onnx
    from onnx import helper

    path = write_piper_pair(tmp_path, small_network(small_settings()))
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("DequantizeLinear", ["q", "s"], ["w"]))
    onnx.save(model, str(path))
    assert "quantised (DequantizeLinear)" in _refusal(path)
