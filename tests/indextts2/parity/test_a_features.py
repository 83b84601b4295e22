"""Features of waveforms against the parity kit: sample rates, filter banks, mel spectrograms, w2v-BERT's input."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

from vtune_indextts2.semantic.features import SemanticEncoder
from vtune_indextts2.waveform import filterbank, resampling
from vtune_indextts2.waveform.filterbank import centred_filter_bank, filter_bank
from vtune_indextts2.waveform.mel import MelSettings, log_mel
from vtune_indextts2.waveform.resampling import resample


@pytest.fixture
def fx(kit: Callable[[str], Any]) -> Any:
    return kit("a_features")


def cases_giving(fx: Any, output: str, prefix: str = "") -> Iterator[str]:
    result = [name for name, case in fx.json["cases"].items() if output in case["outputs"] and name.startswith(prefix)]
    assert result, f"the kit has no case that gives {output}"
    yield from result


def compare_all(fx: Any, results: Iterator[tuple[str, str, torch.Tensor]]) -> None:
    failures = []
    for case, name, got in results:
        try:
            fx.compare(case, name, got)
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


def test_sample_rates(fx: Any) -> None:
    expected = fx.config["resample"]
    assert (expected["lowpass_filter_width"], expected["rolloff"]) == (resampling.ZERO_CROSSINGS, resampling.ROLLOFF)

    def results() -> Iterator[tuple[str, str, torch.Tensor]]:
        for case in cases_giving(fx, "wav", "resample"):
            old, new = map(int, re.findall(r"\d+", case))
            yield case, "wav", resample(fx.inp(case, "wav"), old, new)

    compare_all(fx, results())


def test_kaldi_filter_bank(fx: Any) -> None:
    expected = fx.config["fbank"]
    rate = expected["sample_rate"]
    assert (rate, expected["fft"], expected["bins"]) == (
        filterbank.SAMPLE_RATE,
        filterbank.FFT_SAMPLES,
        filterbank.MEL_BINS,
    )
    assert (expected["low_hz"], expected["high_hz"]) == (filterbank.MIN_FREQUENCY_HZ, filterbank.MAX_FREQUENCY_HZ)
    assert (expected["frame_ms"] * rate / 1000, expected["hop_ms"] * rate / 1000) == (
        filterbank.FRAME_SAMPLES,
        filterbank.HOP_SAMPLES,
    )
    assert (expected["preemphasis"], expected["log_floor"]) == (filterbank.PREEMPHASIS, filterbank.POWER_FLOOR)

    def results() -> Iterator[tuple[str, str, torch.Tensor]]:
        for case in cases_giving(fx, "fbank"):
            yield case, "fbank", filter_bank(fx.inp(case, "wav"))
            yield case, "centred", centred_filter_bank(fx.inp(case, "wav"))

    compare_all(fx, results())


def test_log_mel(fx: Any) -> None:
    expected = fx.config["mel"]
    settings = MelSettings(
        sample_rate=expected["sample_rate"],
        n_fft=expected["n_fft"],
        win_length=expected["win"],
        hop_length=expected["hop"],
        bins=expected["bins"],
        fmin=expected["fmin"],
        fmax=expected["fmax"],
    )
    compare_all(fx, ((case, "mel", log_mel(fx.inp(case, "wav"), settings)) for case in cases_giving(fx, "mel")))


def test_input_features_of_w2v_bert(fx: Any) -> None:
    expected = fx.config["w2vbert"]
    small = Wav2Vec2BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    model = Wav2Vec2BertModel(small)

    def results() -> Iterator[tuple[str, str, torch.Tensor]]:
        for case in cases_giving(fx, "input_features"):
            extractor = SeamlessM4TFeatureExtractor(
                feature_size=expected["bins"],
                num_mel_bins=expected["bins"],
                stride=expected["stride"],
                sampling_rate=expected["sample_rate"],
                padding_value=fx.inp(case, "padding_value"),
            )
            encoder = SemanticEncoder(model, torch.zeros(8), torch.ones(8), extractor)
            clips = sorted(name for name in fx.json["cases"][case]["inputs"] if name.startswith("wav"))
            features, mask = encoder.input_features([fx.inp(case, name).reshape(-1) for name in clips])
            yield case, "input_features", features
            yield case, "attention_mask", mask

    compare_all(fx, results())
