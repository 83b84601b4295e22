"""The losses are those of Piper's own training code: same weights, same clips, same noise. Skipped without Piper."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import vtune
from vtune_vits.bases.base_files import load_strictly
from vtune_vits.bases.names import fold_weight_normalisation, piper_name
from vtune_vits.network.settings import VitsSettings, VocoderSettings
from vtune_vits.network.voice import new_network
from vtune_vits.training import objective

HOP, SEGMENT_FRAMES, SAMPLE_RATE, FFT_SIZE = 16, 8, 16_000, 256
FRAMES, PHONEMES = 40, 11
LOTS = torch.tensor([0.3, 0.75], dtype=torch.float64)


def best_path(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Find the best monotonic path cell by cell, ``[B, T, L]`` of 0 and 1; every clip fills its row."""
    path = torch.zeros_like(scores)
    for row, values in enumerate(scores.double().tolist()):
        best = [[-np.inf] * PHONEMES for _ in range(FRAMES)]
        for frame in range(FRAMES):
            for phoneme in range(min(frame + 1, PHONEMES)):
                before = 0.0 if frame == 0 else best[frame - 1][phoneme]
                if frame and phoneme:
                    before = max(before, best[frame - 1][phoneme - 1])
                best[frame][phoneme] = before + values[frame][phoneme]
        phoneme = PHONEMES - 1
        for frame in reversed(range(FRAMES)):
            path[row, frame, phoneme] = 1
            if phoneme and (frame == phoneme or best[frame - 1][phoneme - 1] > best[frame - 1][phoneme]):
                phoneme -= 1
    return path


@pytest.fixture
def piper(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return Piper's networks, with an alignment search that needs no compiler."""
    models = pytest.importorskip("piper.train.vits.models")
    pytest.importorskip("librosa")
    search = ModuleType("piper.train.vits.monotonic_align")
    search.maximum_path = best_path  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, search.__name__, search)
    monkeypatch.setattr(sys.modules["piper.train.vits"], "monotonic_align", search, raising=False)

    return models


def use_our_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Piper draw the noise and the segments that our lots give."""

    def randn_like(values: torch.Tensor) -> torch.Tensor:
        return vtune.toolkit.normal(LOTS, *values.transpose(1, 2).shape[1:], stream=0).transpose(1, 2)

    def randn(*shape: int) -> torch.Tensor:
        return vtune.toolkit.normal(LOTS, shape[2], shape[1], stream=1).transpose(1, 2)

    monkeypatch.setattr(torch, "randn_like", randn_like)
    monkeypatch.setattr(torch, "randn", randn)
    monkeypatch.setattr(torch, "rand", lambda shape: LOTS.float())


@pytest.mark.parametrize("residual_type", [1, 2])
@pytest.mark.parametrize("stochastic", [True, False])
def test_losses_are_pipers(piper: Any, monkeypatch: pytest.MonkeyPatch, residual_type: int, stochastic: bool) -> None:
    from piper.train.vits import commons, losses, mel_processing

    monkeypatch.setattr(objective, "SEGMENT_SAMPLES", SEGMENT_FRAMES * HOP)
    bins = FFT_SIZE // 2 + 1
    settings = VitsSettings(
        vocab_size=20, hidden_size=192 if stochastic else 16, flow_size=8, layers=2, ffn_size=24,
        spectrogram_bins=bins,
        sample_rate=SAMPLE_RATE, stochastic_durations=stochastic,
        vocoder=VocoderSettings(residual_type, (4, 4), (8, 8), (3, 5), ((1, 2, 3)[: 4 - residual_type],) * 2, 16),
    )  # fmt: skip
    shapes = settings.vocoder
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        expected = piper.SynthesizerTrn(
            20, bins, SEGMENT_FRAMES, 8, settings.hidden_size, 24, 2, 2, 3, 0.0, str(residual_type),
            shapes.residual_kernels, shapes.residual_dilations, shapes.upsample_rates, 16, shapes.upsample_kernels,
            use_sdp=stochastic,
        ).eval()  # fmt: skip
        for parameter in expected.parameters():
            torch.nn.init.normal_(parameter, std=0.05) if parameter.dim() < 2 else None
    network = new_network(settings).eval()
    load_strictly(network, fold_weight_normalisation(expected.state_dict()), "Piper", piper_name)
    random = np.random.default_rng(0)
    samples = torch.from_numpy(random.uniform(-0.7, 0.7, (2, FRAMES * HOP)).astype(np.float32))
    ids = torch.from_numpy(random.integers(1, 20, (2, PHONEMES)))
    frames, phonemes = torch.tensor([FRAMES] * 2), torch.tensor([PHONEMES] * 2)

    use_our_noise(monkeypatch)
    with torch.no_grad():
        magnitudes = mel_processing.spectrogram_torch(samples, FFT_SIZE, SAMPLE_RATE, HOP, FFT_SIZE)
        made, duration, _, starts, _, mask, (_, latents, means, log_scales, _, posterior) = expected(
            ids, phonemes, magnitudes, frames
        )
        kl = losses.kl_loss(latents, posterior, means, log_scales, mask)
        mels = mel_processing.spec_to_mel_torch(magnitudes, FFT_SIZE, 80, SAMPLE_RATE, 0.0, None)
        real_mel = commons.slice_segments(mels, starts, SEGMENT_FRAMES)
        made_mel = mel_processing.mel_spectrogram_torch(made[:, 0], FFT_SIZE, 80, SAMPLE_RATE, HOP, FFT_SIZE, 0.0, None)
        output = network(ids, phonemes, samples, frames, LOTS, items=frames)

    total, count = output["metrics"]["kl"]
    assert float(total / count) == pytest.approx(float(kl), rel=1e-4)
    total, count = output["metrics"]["duration"]
    assert float(total / count) == pytest.approx(float(duration.sum()), rel=1e-4)
    total, count = output["metrics"]["mel"]
    mel = float(torch.nn.functional.l1_loss(real_mel, made_mel))
    assert float(total / count) == pytest.approx(mel, rel=1e-4)
    assert float(output["loss"]) == pytest.approx(float(kl + duration.sum()) + 45 * mel, rel=1e-4)
    torch.testing.assert_close(output["made"][0], made[:, 0], rtol=1e-3, atol=1e-5)
