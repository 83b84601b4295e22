"""A base read from ONNX speaks what onnxruntime speaks from the same file.

The files come from Piper's own network and from torch's exporter, with the arguments of Piper's own export, so nothing
of vtune's takes part in making them. They have the shapes of Piper's qualities with fewer channels.
"""

from __future__ import annotations

import itertools
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_voice import PHONEMES, piper_json, small_settings

from vtune_vits.bases import BaseFiles, open_base
from vtune_vits.network.noise import SpeakingNoise
from vtune_vits.network.voice import SpokenStyle, new_network

onnxruntime = pytest.importorskip("onnxruntime")

TOLERANCE = 1e-4
TEXT_LENGTH = 30

MEDIUM = {
    "resblock": "2",
    "resblock_kernel_sizes": (3, 5, 7),
    "resblock_dilation_sizes": ((1, 2), (2, 6), (3, 12)),
    "upsample_rates": (8, 8, 4),
    "upsample_kernel_sizes": (16, 16, 8),
    "upsample_initial_channel": 32,
}
HIGH = {
    "resblock": "1",
    "resblock_kernel_sizes": (3, 7, 11),
    "resblock_dilation_sizes": ((1, 3, 5), (1, 3, 5), (1, 3, 5)),
    "upsample_rates": (8, 8, 2, 2),
    "upsample_kernel_sizes": (16, 16, 4, 4),
    "upsample_initial_channel": 32,
}
VOICES: dict[str, dict[str, Any]] = {
    "high": {**HIGH, "n_speakers": 1, "use_sdp": True},
    "three speakers": {**MEDIUM, "n_speakers": 3, "gin_channels": 8, "use_sdp": True},
    "high, two speakers, not stochastic": {**HIGH, "n_speakers": 2, "gin_channels": 8, "use_sdp": False},
}


def _piper_network(voice: dict[str, Any]) -> Any:
    models = pytest.importorskip("piper.train.vits.models")
    torch.manual_seed(4)
    with warnings.catch_warnings(action="ignore"):
        network = models.SynthesizerTrn(
            n_vocab=len(PHONEMES) + 3,
            spec_channels=513,
            segment_size=32,
            inter_channels=16,
            hidden_channels=16,
            filter_channels=32,
            n_heads=2,
            n_layers=2,
            kernel_size=3,
            p_dropout=0.1,
            **voice,
        )
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("beta"):
                continue  # all are 0, so that the exporter writes them once
            parameter += (0.5 if name.startswith("dec.ups") else 0.1) * torch.randn_like(parameter)
    return network.eval()


def _export_as_piper_does(network: Any, path: Path) -> None:
    with torch.no_grad():
        network.dec.remove_weight_norm()

    def speak(text: Any, lengths: Any, scales: Any, sid: Any = None) -> Any:
        noise, length, noise_w = scales
        spoken = network.infer(text, lengths, sid=sid, noise_scale=noise, length_scale=length, noise_scale_w=noise_w)
        return spoken[0].unsqueeze(1)

    network.forward = speak
    speaker = torch.LongTensor([0]) if network.n_speakers > 1 else None
    text = torch.randint(0, network.n_vocab, (1, 50))
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            network,
            (text, torch.LongTensor([50]), torch.FloatTensor([0.667, 1.0, 0.8]), speaker),
            str(path),
            opset_version=15,
            input_names=["input", "input_lengths", "scales", "sid"],
            output_names=["output"],
            dynamic_axes={"input": {1: "phonemes"}, "output": {2: "time"}},
            dynamo=False,
        )
    settings = small_settings(speakers=network.n_speakers)
    path.with_name(f"{path.name}.json").write_text(json.dumps(piper_json(settings)), "utf-8")


def _save_as_lightning_does(network: Any, path: Path) -> None:
    weights = {f"model_g.{name}": tensor.clone() for name, tensor in network.state_dict().items()}
    settings = {name: getattr(network, name) for name in MEDIUM}
    torch.save({"state_dict": weights, "hyper_parameters": settings}, path)


def _largest_difference(files: BaseFiles, ids: np.ndarray, length_scales: Sequence[float]) -> float:
    """Return the largest difference between torch's samples and onnxruntime's, over all speakers and speeds."""
    network = new_network(files.settings, seed=1)
    files.load(network)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(files.paths[0]), options, providers=["CPUExecutionProvider"])
    differences = []
    for speaker, length_scale in itertools.product(range(files.settings.speakers), length_scales):
        scales = np.array([0, length_scale, 0], np.float32)
        feed = {"input": ids[None], "input_lengths": np.array([len(ids)]), "scales": scales}
        if files.settings.speakers > 1:
            feed["sid"] = np.array([speaker])
        expected = session.run(None, feed)[0].ravel()
        style = SpokenStyle(noise_scale=0.0, length_scale=length_scale, noise_scale_w=0.0)
        with torch.no_grad():
            spoken = network.speak(torch.from_numpy(ids), style, speaker, SpeakingNoise(0))
        assert expected.std() > 0.01  # loud enough to compare
        assert spoken.waveform.shape == expected.shape
        differences.append(float(np.abs(spoken.waveform.numpy() - expected).max()))
    return max(differences)


@pytest.mark.parametrize("name", VOICES)
@pytest.mark.slow
def test_a_random_voice_of_pipers_own_code_sounds_the_same(tmp_path: Path, name: str) -> None:
    path = tmp_path / "voice.onnx"
    _export_as_piper_does(_piper_network(VOICES[name]), path)
    files = open_base(path)
    assert files.settings.vocoder.residual_type == int(VOICES[name]["resblock"])
    assert files.settings.vocoder.residual_dilations == VOICES[name]["resblock_dilation_sizes"]
    assert not files.has_posterior
    ids = np.random.default_rng(0).integers(0, len(PHONEMES), TEXT_LENGTH)
    assert _largest_difference(files, ids, (1.0, 1.7)) < TOLERANCE


@pytest.mark.slow
def test_pipers_checkpoint_and_its_onnx_are_one_voice(tmp_path: Path) -> None:
    network = _piper_network(VOICES["three speakers"])
    _save_as_lightning_does(network, tmp_path / "voice.ckpt")
    _export_as_piper_does(network, tmp_path / "voice.onnx")
    (tmp_path / "config.json").write_bytes((tmp_path / "voice.onnx.json").read_bytes())
    onnx_files, checkpoint_files = open_base(tmp_path / "voice.onnx"), open_base(tmp_path / "voice.ckpt")
    assert checkpoint_files.has_posterior
    assert (
        replace(checkpoint_files.settings, posterior_layers=onnx_files.settings.posterior_layers) == onnx_files.settings
    )
    from_onnx, from_checkpoint = (new_network(files.settings, 7) for files in (onnx_files, checkpoint_files))
    onnx_files.load(from_onnx)
    checkpoint_files.load(from_checkpoint)
    ids, style = torch.arange(1, 20), SpokenStyle(0.5, 0.5, 1.0)
    with torch.no_grad():
        first, second = (n.speak(ids, style, 2, SpeakingNoise(3)).waveform for n in (from_onnx, from_checkpoint))
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_posterior_encoder_of_a_checkpoint_computes_what_pipers_does(tmp_path: Path) -> None:
    theirs = _piper_network(VOICES["three speakers"])
    _save_as_lightning_does(theirs, tmp_path / "voice.ckpt")
    (tmp_path / "config.json").write_text(json.dumps(piper_json(small_settings(speakers=3))), "utf-8")
    files = open_base(tmp_path)
    ours = new_network(files.settings)
    files.load(ours)
    frames, speakers = torch.tensor([20, 11]), torch.tensor([2, 0])
    spectrogram = torch.rand(2, 513, 20)
    mask = torch.arange(20) < frames[:, None]
    latents, means, log_scales, _ = theirs.enc_q(spectrogram, frames, theirs.emb_g(speakers)[..., None])
    torch.testing.assert_close(ours.posterior(spectrogram, mask, ours.embed(speakers)), (means, log_scales))
    expected = theirs.flow(latents, mask[:, None].float(), theirs.emb_g(speakers)[..., None])
    torch.testing.assert_close(ours.to_prior(latents, mask, ours.embed(speakers)), expected)


@pytest.mark.skipif("VTUNE_PIPER_VOICE" not in os.environ, reason="VTUNE_PIPER_VOICE names no Piper voice (.onnx)")
def test_a_published_voice_sounds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    files = open_base(os.environ["VTUNE_PIPER_VOICE"])
    symbols = [ids for symbol, ids in files.text.symbols.items() if symbol not in "^_$"]
    blank = files.text.blank or ()
    ids = [*files.text.begin, *blank]
    for index in np.random.default_rng(0).integers(0, len(symbols), 40):
        ids += [*symbols[index], *blank]
    difference = _largest_difference(files, np.array([*ids, *files.text.end]), (0.6, 1.0))
    with capsys.disabled():
        print(f"\n{Path(files.source).name}: torch differs from onnxruntime by {difference:.1e}")
    assert difference < TOLERANCE
