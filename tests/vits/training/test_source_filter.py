"""A vocoder of source and filters is made of a base's own speech: it learns it, it is made once, the base stays."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vtune_vits.network.settings import SourceFilterSettings
from vtune_vits.network.voice import VitsNetwork, new_network
from vtune_vits.training import source_filter
from vtune_vits.training.losses import energy_distance, pitch_distance
from vtune_vits.training.own_speech import Distillation, Phonemes, Teacher, speak_examples

SHAPES = SourceFilterSettings(width=16, blocks=1, pitch_width=8, pitch_blocks=1, kernel=3)
FEW = Distillation(steps=3, clips=2, frames=12)


def test_the_vocoder_learns_and_the_base_stays(network: VitsNetwork, phonemes: Phonemes) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random_state = torch.random.get_rng_state()
    teacher, settings = Teacher(network, phonemes, ""), replace(network.settings, source_filter=SHAPES)
    untaught, _ = source_filter.distil(teacher, settings, replace(FEW, steps=1))
    test = speak_examples(network, phonemes, 4, 24, np.random.default_rng(7))

    taught, error = source_filter.distil(
        teacher, settings, Distillation(steps=40, clips=3, frames=20, learning_rate=0.1)
    )

    first, last = (source_filter.measure(vocoder, network, test) for vocoder in (untaught, taught))
    assert last[0] < 0.7 * first[0]
    assert last[1] < first[1]
    assert error == pytest.approx(last[0], rel=0.5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert not any(parameter.requires_grad for parameter in taught.parameters())


def test_it_is_made_once_for_each_base_and_settings(
    network: VitsNetwork, phonemes: Phonemes, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vtune_vits")
    settings = replace(network.settings, source_filter=SHAPES)
    first, second, other = (new_network(settings, seed) for seed in (1, 2, 3))

    source_filter.load_source_filter(first, Teacher(network, phonemes, "abc"), FEW)
    log = caplog.text
    source_filter.load_source_filter(second, Teacher(network, phonemes, "abc"), FEW)
    assert caplog.text == log
    source_filter.load_source_filter(other, Teacher(network, phonemes, "another base"), FEW)

    assert "Vocoder: step 3 of 3, mel distance" in log
    assert caplog.text.count("step 3 of 3") == 2
    assert len(list(cache.rglob("vocoder.safetensors"))) == 2
    for name, tensor in first.decoder.state_dict().items():
        assert torch.equal(tensor, second.decoder.state_dict()[name])


def test_sound_that_varies_as_recordings_do_has_the_least_energy_distance() -> None:
    """A single made sound does best in the middle of all recordings; made twice, it has to vary as they do."""
    random = np.random.default_rng(0)
    recorded = torch.from_numpy(random.normal(size=20_000))
    spreads = (0.0, 0.5, 1.0, 1.5, 2.0)

    def loss(spread: float, count: int) -> float:
        draws = [torch.from_numpy(spread * random.normal(size=len(recorded))) for _ in range(count)]
        return float(energy_distance(recorded, draws, lambda one, other: (one - other).abs().mean()))

    assert min(spreads, key=lambda spread: loss(spread, 1)) == 0.0
    assert min(spreads, key=lambda spread: loss(spread, 2)) == 1.0
    # The expected distance of two normal numbers of deviation s is 2 s / sqrt(pi); twice made: d - d / 2.
    assert loss(1.0, 2) == pytest.approx(1 / np.sqrt(np.pi), rel=0.03)


def test_pitch_counts_where_there_is_voice() -> None:
    measured = torch.tensor([[100.0, 200.0, 300.0], [0.0, 0.0, 0.0]])
    voiced = torch.tensor([[True, True, False], [False, False, False]])
    log_f0 = torch.tensor([[110.0, 180.0, 1.0], [50.0, 50.0, 50.0]]).log()
    distance = pitch_distance(log_f0, measured, voiced)
    assert distance.tolist() == pytest.approx([(np.log(1.1) - np.log(0.9)) / 2, 0.0])
