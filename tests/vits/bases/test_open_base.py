from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from small_voice import (
    HIGH,
    LETTERS,
    PHONEMES,
    small_network,
    small_settings,
    transformers_model,
    write_piper_checkpoint,
    write_piper_pair,
    write_transformers_folder,
)

from vtune import EngineError
from vtune_vits.bases import open_base
from vtune_vits.network.settings import VocoderSettings
from vtune_vits.network.voice import VitsNetwork, new_network

VOICES = {
    "one speaker": small_settings(),
    "three speakers": small_settings(speakers=3, speaker_size=5, noise_scale=0.4, noise_scale_w=0.3, length_scale=1.5),
    "not stochastic": small_settings(stochastic_durations=False),
    "high": small_settings(vocoder=HIGH, sample_rate=16000),
    "other shapes": small_settings(
        heads=4,
        window=3,
        flow_steps=2,
        wavenet_dilation=1,
        vocoder=VocoderSettings(
            upsample_rates=(16, 16),
            upsample_kernels=(32, 32),
            residual_kernels=(3, 9),
            first_channels=16,
            residual_dilations=((1, 4), (2, 3)),
        ),
    ),
}
POSTERIOR = ("posterior_encoder.",)
DURATION_POSTERIOR = tuple(f"duration_predictor.{part}" for part in ("flows.1.", "post_"))


def _load(path: Path, seed: int = 5) -> tuple[Any, VitsNetwork]:
    files = open_base(path)
    network = new_network(files.settings, seed)
    files.load(network)
    return files, network


def _assert_equal(network: VitsNetwork, expected: VitsNetwork, without: tuple[str, ...] = ()) -> None:
    weights = network.state_dict()
    for name, tensor in expected.state_dict().items():
        if not name.startswith(without):
            torch.testing.assert_close(weights[name], tensor, atol=1e-6, rtol=1e-6, msg=name)


@pytest.mark.parametrize("name", VOICES)
def test_a_pair_of_piper_holds_all_that_speaks(tmp_path: Path, name: str) -> None:
    network = small_network(VOICES[name])
    files, loaded = _load(write_piper_pair(tmp_path, network))
    assert files.settings.vocoder == network.settings.vocoder
    assert (files.format, files.has_posterior) == ("piper_onnx", False)
    assert files.has_duration_posterior is not network.settings.stochastic_durations
    without = (*POSTERIOR, *(() if files.has_duration_posterior else DURATION_POSTERIOR))
    _assert_equal(loaded, network, without)
    # What the file lacks keeps its values, and those depend on the seed only.
    weights, fresh = loaded.state_dict(), new_network(files.settings, 5).state_dict()
    kept = [name for name in fresh if name.startswith(without)]
    assert kept
    assert all(torch.equal(fresh[name], weights[name]) for name in kept)


@pytest.mark.parametrize("name", VOICES)
def test_a_checkpoint_of_piper_holds_everything(tmp_path: Path, name: str) -> None:
    network = small_network(VOICES[name])
    files, loaded = _load(write_piper_checkpoint(tmp_path, network))
    assert files.settings == network.settings
    assert (files.format, files.has_posterior, files.has_duration_posterior) == ("piper_checkpoint", True, True)
    _assert_equal(loaded, network)
    assert files.read_discriminators is not None
    assert files.read_discriminators().keys() == {"discriminators.1.conv_post.bias"}


@pytest.mark.parametrize("old_names", [False, True])
def test_a_model_of_transformers_holds_everything(tmp_path: Path, old_names: bool) -> None:
    network = small_network(small_settings(vocoder=HIGH, sample_rate=16000, speakers=2, speaker_size=4))
    folder = write_transformers_folder(tmp_path, network)
    if old_names:  # as the first models were stored
        (folder / "model.safetensors").unlink()
        weights = {
            name.replace("parametrizations.weight.original0", "weight_g").replace(
                "parametrizations.weight.original1", "weight_v"
            ): tensor
            for name, tensor in transformers_model(network).state_dict().items()
        }
        assert any(name.endswith("weight_g") for name in weights)
        torch.save(weights, folder / "pytorch_model.bin")
    files, loaded = _load(folder)
    assert files.settings == network.settings
    assert (files.format, files.has_posterior, files.has_duration_posterior) == ("transformers", True, True)
    _assert_equal(loaded, network)


def test_the_text_of_a_piper_voice(tmp_path: Path) -> None:
    path = write_piper_pair(
        tmp_path,
        small_network(small_settings(speakers=2, speaker_size=3)),
        vowel_clusters=[["a", "ɪ"], ["q", "q"]],
        phoneme_id_map={**{symbol: [number] for number, symbol in enumerate(PHONEMES)}, "aɪ": [4, 5]},
        phoneme_map={"r": ["ɹ"]},
    )
    text = open_base(path).text
    assert (text.kind, text.language, text.begin, text.blank, text.end) == ("espeak", "en-us", (1,), (0,), (2,))
    assert text.symbols["aɪ"] == (4, 5)
    assert text.clusters == (("a", "ɪ"),)
    assert text.replacements == {"r": ("ɹ",)}
    assert text.speakers == {"speaker 0": 0, "speaker 1": 1}


@pytest.mark.parametrize(
    ("tokenizer", "kind", "language"),
    [
        ({}, "characters", "eng"),
        ({"is_uroman": True, "language": "kor"}, "uroman", "kor"),
        ({"phonemize": True, "language": None}, "espeak", "en-us"),
    ],
)
def test_the_text_of_a_model_of_transformers(tmp_path: Path, tokenizer: Any, kind: str, language: str) -> None:
    text = open_base(write_transformers_folder(tmp_path, **tokenizer)).text
    assert (text.kind, text.language, text.blank, text.blank_first) == (kind, language, (0,), True)
    assert text.symbols["b"] == (LETTERS.index("b"),)
    assert text.lowercase


def test_a_base_is_found_by_its_folder_its_file_or_its_json(tmp_path: Path) -> None:
    path = write_piper_pair(tmp_path / "pair")
    fingerprint = open_base(path).fingerprint
    assert open_base(path.parent).fingerprint == fingerprint
    assert open_base(f"{path}.json").fingerprint == fingerprint
    assert open_base(write_piper_checkpoint(tmp_path / "checkpoint").parent).format == "piper_checkpoint"
    write_piper_checkpoint(path.parent)
    with pytest.raises(EngineError, match=r"several bases \(small.ckpt, small.onnx\)"):
        open_base(path.parent)


def test_the_fingerprint_changes_with_every_file(tmp_path: Path) -> None:
    folder = write_transformers_folder(tmp_path)
    fingerprints = {open_base(folder).fingerprint}
    for name in ("vocab.json", "tokenizer_config.json", "config.json"):
        (folder / name).write_text((folder / name).read_text("utf-8") + " ", "utf-8")
        fingerprints.add(open_base(folder).fingerprint)
    assert len(fingerprints) == 4


def test_the_licence_is_that_of_the_card(tmp_path: Path) -> None:
    path = write_piper_pair(tmp_path / "piper")
    assert open_base(path).licence == ""
    (path.parent / "MODEL_CARD").write_text("# Card\n\n* Language: en\n* License: CC0 1.0\n", "utf-8")
    assert open_base(path).licence == "CC0 1.0"
    folder = write_transformers_folder(tmp_path / "mms")
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\ntags:\n- mms\n---\n", "utf-8")
    assert open_base(folder).licence == "cc-by-nc-4.0"


def test_one_error_names_every_tensor_that_does_not_fit(tmp_path: Path) -> None:
    path = write_piper_checkpoint(tmp_path)
    content = torch.load(path, weights_only=False)
    weights = content["state_dict"]
    del weights["model_g.enc_p.proj.bias"], weights["model_g.dec.ups.1.bias"]
    weights["model_g.dp.pre.weight"] = torch.zeros(16, 17, 1)
    weights["model_g.enc_p.surprise"] = torch.zeros(1)
    torch.save(content, path)
    files = open_base(path)
    network = new_network(files.settings)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(EngineError) as caught:
        files.load(network)
    message = str(caught.value)
    assert "2 missing: dec.ups.1.bias, enc_p.proj.bias" in message
    assert "1 unexpected: enc_p.surprise" in message
    assert "1 of another shape: dp.pre.weight is [16, 17, 1], should be [16, 16, 1]" in message
    assert "\n" not in message
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_a_graph_with_weights_of_something_else_is_not_this_network(tmp_path: Path) -> None:
    import numpy as np
    import onnx

    path = write_piper_pair(tmp_path)
    model = onnx.load(path)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((9, 9), np.float32), "bert.weight"))
    onnx.save(model, str(path))
    files = open_base(path)
    with pytest.raises(EngineError, match=re.escape("1 unexpected: bert.weight")):
        files.load(new_network(files.settings))


def test_the_names_in_an_error_stay_on_its_line(tmp_path: Path) -> None:
    path = write_piper_checkpoint(tmp_path)
    content = torch.load(path, weights_only=False)
    content["state_dict"]["model_g.enc_p.a\nb\x1b[2J" + 9000 * "x"] = torch.zeros(1)
    torch.save(content, path)
    files = open_base(path)
    with pytest.raises(EngineError) as caught:
        files.load(new_network(files.settings))
    assert r"enc_p.a\nb\x1b[2Jx" in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", ["an Identity node", "the node of the norm"])
def test_a_tensor_that_the_exporter_wrote_once_for_two_places(tmp_path: Path, how: str) -> None:
    import onnx
    from onnx import helper

    network = small_network()
    path = write_piper_pair(tmp_path, network)
    model = onnx.load(path)
    first, second = (f"enc_p.encoder.norm_layers_1.{layer}.gamma" for layer in range(2))
    kept = [tensor for tensor in model.graph.initializer if tensor.name != second]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    if how == "an Identity node":
        model.graph.node.append(helper.make_node("Identity", [first], [second]))
    else:
        model.graph.node.append(helper.make_node("Mul", ["x", first], ["y"], "/enc_p/encoder/norm_layers_1.1/Mul"))
    onnx.save(model, str(path))
    _, loaded = _load(path)
    norms = [layer.layer_norm.weight for layer in loaded.text_encoder.encoder.layers]
    assert torch.equal(norms[0], network.text_encoder.encoder.layers[0].layer_norm.weight)
    assert torch.equal(norms[0], norms[1])


def test_a_voice_of_a_repository_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_piper_pair(tmp_path / "en" / "small")
    (path.parent / "MODEL_CARD").write_text("* License: CC0\n", "utf-8")

    def fetch_file(name: str, file: str) -> Path | None:
        assert name == "someone/voices"
        return tmp_path / file if (tmp_path / file).is_file() else None

    monkeypatch.setattr("vtune_vits.bases.base_formats.fetch_file", fetch_file)
    files = open_base("someone/voices/en/small/small.onnx")
    assert (files.fingerprint, files.licence) == (open_base(path).fingerprint, "CC0")
    with pytest.raises(EngineError, match=r"has no file 'en/other\.onnx'"):
        open_base("someone/voices/en/other.onnx")
    path.with_name("small.onnx.json").unlink()
    with pytest.raises(ValueError, match="has no JSON beside it"):
        open_base("someone/voices/en/small/small.onnx")


def test_a_model_of_transformers_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_transformers_folder(tmp_path)
    fingerprint = open_base(folder).fingerprint

    def fetch_file(name: str, file: str) -> Path | None:
        assert name == "someone/model"
        return folder / file if (folder / file).is_file() else None

    monkeypatch.setattr("vtune_vits.bases.transformers_folder.fetch_file", fetch_file)
    files = open_base("someone/model")
    assert (files.source, files.fingerprint) == ("someone/model", fingerprint)


@pytest.mark.parametrize("writer", [write_piper_pair, write_piper_checkpoint, write_transformers_folder])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, writer: Any) -> None:
    network = small_network(small_settings(vocoder=HIGH))
    with torch.no_grad():
        network.text_encoder.project.bias[3] = float("nan")
    files = open_base(writer(tmp_path, network))
    with pytest.raises(EngineError, match=r"proj\w*\.bias holds nan"):
        files.load(new_network(files.settings))


def test_a_json_that_belongs_to_another_voice(tmp_path: Path) -> None:
    network = small_network(small_settings(speakers=2, speaker_size=3))
    path = write_piper_pair(tmp_path, network)
    document = path.with_name("small.onnx.json")
    content = json.loads(document.read_text("utf-8"))
    for key, value, message in (
        ("num_symbols", 200, "tells of 200 symbols"),
        ("num_speakers", 3, "tells of 3 speakers and the weights have 2"),
        ("hop_length", 512, "tells of 512 samples a frame"),
    ):
        document.write_text(json.dumps({**content, key: value}), "utf-8")
        with pytest.raises(ValueError, match=f"{message}.*belongs to another voice"):
            open_base(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.onnx", "there is no file"),
        ("nothing.ckpt", "there is no file"),
        ("no such thing", "there is no folder"),
        ("/nowhere/at/all", "there is no folder"),
    ],
)
def test_a_name_of_nothing(name: str, message: str) -> None:
    with pytest.raises(EngineError, match=f"engine_options.base_model: {message}"):
        open_base(name)


def test_folders_and_files_that_hold_no_base(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="holds no base"):
        open_base(tmp_path)
    (tmp_path / "voice.txt").write_text("hello")
    with pytest.raises(EngineError, match="is no base"):
        open_base(tmp_path / "voice.txt")
    folder = write_transformers_folder(tmp_path / "model")
    (folder / "vocab.json").unlink()
    with pytest.raises(EngineError, match=r"has no vocab\.json"):
        open_base(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(EngineError, match="has no weights"):
        open_base(folder)
