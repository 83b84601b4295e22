"""Voices for the package hibari-tts: weights in the published graph, read back, and spoken by the package itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_hibari import new_base, write_small_onnx

from vtune import VoiceError
from vtune_hibari import merged
from vtune_hibari.bases.base_files import file_weights
from vtune_hibari.export import onnx_target
from vtune_hibari.export.graph import rounded, with_weights
from vtune_hibari.export.session import HibariSession, load_graph
from vtune_hibari.export.sound_distance import band_difference, sentence_ids
from vtune_hibari.network.speaking import SpokenStyle, SpokenText, speak_texts

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def differences(pairs: Any) -> list[float]:
    return [
        float(
            np.abs(np.asarray(pair.found) - np.asarray(pair.expected)).max() / np.abs(np.asarray(pair.expected)).max()
        )
        for pair in pairs
    ]


def written(voice: Any, folder: Path) -> Path:
    folder.mkdir()
    onnx_target.write(voice, folder)
    (path,) = folder.glob("*.onnx")
    return path


def test_a_voice_is_read_back_with_its_own_numbers(
    open_voice_of: Callable[..., Any], small_onnx: Path, tmp_path: Path
) -> None:
    voice = open_voice_of(small_onnx)
    path = written(voice, tmp_path / "out")
    assert path.name == "anna.onnx"
    assert abs(path.stat().st_size - small_onnx.stat().st_size) < 200  # the names of the graph differ a little
    pairs = list(onnx_target.compare(voice, tmp_path / "out"))
    assert len(pairs) == 1 + 2 * len(voice.sentences)
    weights, *computed = differences(pairs)
    assert 1e-3 < weights <= 0.5 / 127 + 1e-6
    assert max(computed) < 1e-4


def test_untuned_weights_give_the_base_file_back(small_onnx: Path) -> None:
    network = new_base(small_onnx).new_network()
    again = with_weights(small_onnx, {name: tensor.numpy() for name, tensor in file_weights(network).items()})
    for tensor, expected in zip(again.graph.initializer, onnx.load(small_onnx).graph.initializer, strict=True):
        found, original = map(onnx.numpy_helper.to_array, (tensor, expected))
        assert found.dtype == original.dtype
        assert np.allclose(found, original, rtol=1e-5), tensor.name


def test_a_base_in_full_precision_keeps_it(open_voice_of: Callable[..., Any], tmp_path: Path) -> None:
    voice = open_voice_of(write_small_onnx(tmp_path / "base", int8=False))
    written(voice, tmp_path / "out")
    assert max(differences(onnx_target.compare(voice, tmp_path / "out"))) < 1e-4


def test_a_file_with_other_weights_differs(open_voice_of: Callable[..., Any], small_onnx: Path, tmp_path: Path) -> None:
    voice = open_voice_of(small_onnx)
    path = written(voice, tmp_path / "out")
    model = onnx.load(path)
    weight = next(item for item in model.graph.initializer if item.name == "m.dec.0.gamma")
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * np.float32(1.1), weight.name))
    onnx.save(model, path)
    assert max(differences(onnx_target.compare(voice, tmp_path / "out"))) > onnx_target.TOLERANCE


def test_each_output_may_have_its_own_scale() -> None:
    matrix = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32) * np.float32([1, 10, 0])
    levels, scales = rounded(matrix, per_output=True)
    assert scales.shape == (3,)
    assert np.abs(levels * scales - matrix).max(axis=0) == pytest.approx(scales / 2, abs=0.5)
    assert (np.abs(levels * scales - matrix) <= scales / 2 + 1e-6).all()


def test_the_size_the_speed_and_the_distance_are_told(
    open_voice_of: Callable[..., Any], small_onnx: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    written(open_voice_of(small_onnx, lexicon={"Piper": "/pˈIpəɹ/"}), tmp_path / "out")
    assert "The file has 0.2 MB" in caplog.text
    assert "Rounding to 8 bits changes the speech by" in caplog.text
    assert "The 1 words of the voice's lexicon are not part of the file" in caplog.text


def test_a_merged_base_takes_the_packages_graph_if_its_shapes_are_those(small_onnx: Path, tmp_path: Path) -> None:
    pytest.importorskip("hibari")
    base = new_base(small_onnx)
    (path,) = merged.save(base.files, base.new_network(), tmp_path)
    with pytest.raises(VoiceError, match="has other shapes than the voice of hibari-tts"):
        onnx_target.template(new_base(path))
    heart = new_base(Path("heart"))
    (tmp_path / "heart").mkdir()
    (path,) = merged.save(heart.files, heart.new_network(), tmp_path / "heart")
    assert onnx_target.template(new_base(path)) == heart.files.path


@pytest.fixture(scope="module")
def package() -> Any:
    return pytest.importorskip("hibari")


def test_the_unmodified_package_speaks_a_tuned_voice(
    open_voice_of: Callable[..., Any], tmp_path: Path, package: Any
) -> None:
    """``Hibari(model=path)`` loads another file; with the durations that the file computes, its sound is that of the
    voice in torch within 1 dB, of which rounding to 8 bits is the larger part and the noise the smaller.
    """
    voice = open_voice_of("heart")
    make_brighter(voice.model.get_base_model().decoder.head.base_layer.bias)
    path = written(voice, tmp_path / "out")
    assert path.stat().st_size < 8_000_000
    assert "Kokoro-82M" in (tmp_path / "out" / "NOTICE").read_text("utf-8")
    speaker = package.Hibari(model=str(path))
    assert speaker.ids(voice.sentences[0]) == next(sentence_ids(voice))[1].tolist()
    untuned = new_base(Path("heart")).new_network()
    session = HibariSession(load_graph(path))
    for sentence, ids in sentence_ids(voice):
        sound = torch.from_numpy(speaker.from_phonemes(sentence, seed=0))
        (spoken,) = speak(voice.model, SpokenText(ids, 0))
        text = SpokenText(ids, 0, torch.from_numpy(session.compute(ids.tolist()).durations))
        # 8 bits move a few symbols by one step of 25 ms.
        assert int((text.durations - spoken.durations).abs().sum()) <= 0.05 * len(sound) / 600
        own, other = (band_difference(speak(network, text)[0].waveform, sound) for network in (voice.model, untuned))
        assert own < 1.0
        assert other > own + 2.0


def make_brighter(head_bias: torch.Tensor) -> None:
    """Make everything above 2 kHz louder by 6 dB: harmonics, noise and residual."""
    for part in (0, 2, 3):
        head_bias.data[601 * part + 100 : 601 * (part + 1)] += float(np.log(2))


def speak(network: Any, text: SpokenText) -> Any:
    with torch.inference_mode():
        return speak_texts(network, [text], SpokenStyle())
