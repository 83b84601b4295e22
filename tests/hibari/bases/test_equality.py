"""The network in torch computes what ONNX Runtime computes with the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_hibari import small_network, write_small_onnx

from vtune_hibari.bases import open_base
from vtune_hibari.export.graph import in_full_precision
from vtune_hibari.export.session import HibariSession, load_graph
from vtune_hibari.export.sound_distance import band_difference
from vtune_hibari.network.decoder import SpectralParts
from vtune_hibari.network.prosody import whole_steps
from vtune_hibari.network.sound import synthesise
from vtune_hibari.network.speaker import folded_weights
from vtune_hibari.network.voice import frame_counts, new_network

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

IDS = [0, 50, 83, 54, 156, 31, 16, 65, 156, 87, 123, 54, 46, 4, 0]
"""``həlˈO wˈɜɹld.``"""


def computed(network: Any, ids: list[int], durations: np.ndarray | None = None, speed: float = 1.0) -> Any:
    """Return spectral parts ``[5 x F x 601]``, F0 ``[F]`` and durations ``[L]`` of the network in torch."""
    row = torch.tensor([ids])
    mask = torch.ones_like(row, dtype=torch.bool)
    with torch.inference_mode():
        reading = network.read(row, mask)
        predicted = whole_steps(network.predict_log_durations(reading, mask), speed)
        steps = predicted if durations is None else torch.from_numpy(durations)[None]
        prosody = network.predict_prosody(reading, steps)
        parts = network.decode(reading, steps, prosody.f0, prosody.energy)
    return torch.cat(parts).numpy(), prosody.f0[0].numpy(), predicted[0].numpy()


def loaded(path: Path | str) -> Any:
    files = open_base(str(path))
    network = new_network(files.settings).eval()
    files.load(network)
    return network


@pytest.mark.parametrize("speed", [1.0, 0.5])
def test_a_small_file_in_full_precision(tmp_path: Path, speed: float) -> None:
    path = write_small_onnx(tmp_path, int8=False)
    network = loaded(path)
    found = HibariSession(load_graph(path)).compute(IDS, speed)
    parts, f0, durations = computed(network, IDS, speed=speed)
    assert durations.tolist() == found.durations.tolist()
    assert np.abs(parts - found.parts).max() < 1e-4
    assert np.abs(f0 - found.f0).max() < 1e-3
    assert all(torch.equal(own, other) for own, other in zip(
        network.state_dict().values(), small_network().state_dict().values(), strict=True
    ))  # fmt: skip


def test_a_small_file_with_matrices_of_8_bits(small_onnx: Path) -> None:
    """With activations in float32 the file computes what torch computes, as it is something near to that."""
    network = loaded(small_onnx)
    exact = HibariSession(in_full_precision(small_onnx)).compute(IDS)
    parts, f0, durations = computed(network, IDS)
    assert durations.tolist() == exact.durations.tolist()
    assert np.abs(parts - exact.parts).max() < 1e-4
    assert np.abs(f0 - exact.f0).max() < 1e-3
    rounded = HibariSession(load_graph(small_onnx)).compute(IDS)
    parts, f0, _ = computed(network, IDS, rounded.durations)
    assert 1e-4 < np.abs(parts - rounded.parts).max() < 0.2
    assert np.abs(f0 - rounded.f0).max() < 5


class TestThePublishedVoice:
    """The voice that comes with the package."""

    @pytest.fixture(scope="class")
    def path(self) -> Path:
        pytest.importorskip("hibari")
        return open_base("heart").path

    @pytest.fixture(scope="class")
    def network(self, path: Path) -> Any:
        return loaded(path)

    def test_its_size(self, network: Any) -> None:
        assert sum(weight.numel() for weight in folded_weights(network).values()) == 6_152_898

    def test_without_rounded_activations_it_is_equal(self, path: Path, network: Any) -> None:
        exact = HibariSession(in_full_precision(path)).compute(IDS)
        parts, f0, durations = computed(network, IDS)
        assert durations.tolist() == exact.durations.tolist()
        assert np.abs(parts - exact.parts).max() < 1e-4
        assert np.abs(f0 - exact.f0).max() < 1e-3

    def test_with_rounded_activations_the_sound_is_near(self, path: Path, network: Any) -> None:
        """Rounding moves a few durations by a step, and at equal durations the levels by less than 1 dB."""
        rounded = HibariSession(load_graph(path)).compute(IDS)
        _, _, durations = computed(network, IDS)
        assert np.abs(durations - rounded.durations).sum() <= 0.05 * durations.sum()
        parts, f0, _ = computed(network, IDS, rounded.durations)
        sounds = [
            synthesise(SpectralParts(*torch.tensor(spectra)[:, None]), torch.tensor(pitch)[None],
                       torch.zeros(1, len(pitch), 601, dtype=torch.complex64), torch.tensor([len(pitch)]))[0]
            for spectra, pitch in ((parts, f0), (rounded.parts, rounded.f0))
        ]  # fmt: skip
        assert band_difference(*sounds) < 1.0

    def test_the_sound_is_that_of_the_package(self, network: Any) -> None:
        """The package computes phases in float32, and cuts a pulse's flank off where the divisor is small."""
        dsp = pytest.importorskip("hibari.dsp")
        parts, f0, durations = computed(network, IDS)
        expected = dsp.synth(*parts.transpose(0, 2, 1), f0, np.random.default_rng(0))
        numbers = np.random.default_rng(0).standard_normal((601, 2 * len(f0)), dtype=np.float32)
        noise = torch.from_numpy(numbers.view(np.complex64).T.copy())[None]
        counts = frame_counts(torch.from_numpy(durations)[None])
        found = synthesise(SpectralParts(*torch.tensor(parts)[:, None]), torch.tensor(f0)[None], noise, counts)[0]
        assert len(found) == len(expected)
        assert np.abs(found.numpy() - expected).max() < 5e-3 * np.abs(expected).max()
