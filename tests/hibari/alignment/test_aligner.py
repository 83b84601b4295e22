"""An aligner made of a base's own speech finds the durations of other speech of that base."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_hibari import small_network

from vtune_hibari.alignment import Aligner
from vtune_hibari.alignment.distillation import Distillation, distil
from vtune_hibari.alignment.readings import read_aloud
from vtune_hibari.network.voice import HibariNetwork

WORDS = ("sɑ", "mi", "ʃu", "læk", "nO")


@pytest.fixture(scope="module")
def base() -> HibariNetwork:
    """A random voice in which symbols sound very different from each other."""
    network = small_network()
    network.acoustic_encoder.embed.weight *= 4
    network.decoder.head.weight *= 6
    return network


@pytest.fixture(scope="module")
def aligner(base: HibariNetwork) -> Aligner:
    return Aligner(base, distil(base, Distillation(steps=60, readings=20, crops=6), WORDS))


def boundary_error(durations: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean error of all inner boundaries in steps."""
    return float(np.abs(durations.cumsum()[:-1] - truth.cumsum()[:-1]).mean())


def test_known_durations_are_found(base: HibariNetwork, aligner: Aligner) -> None:
    errors, even_errors = [], []
    for seed in range(6):
        reading = read_aloud(base, np.random.default_rng([9, seed]), WORDS)
        ids, truth = reading.symbols.unique_consecutive(return_counts=True)
        found = aligner.align(reading.samples, ids)
        assert found.durations.sum() == len(reading.symbols)
        assert found.durations.min() >= 1
        errors.append(boundary_error(found.durations, truth.numpy()))
        even = np.diff(np.rint(np.linspace(0, len(reading.symbols), len(ids) + 1)))
        even_errors.append(boundary_error(even, truth.numpy()))
    assert np.mean(errors) < 0.4 * np.mean(even_errors)


def test_another_text_has_less_confidence(base: HibariNetwork, aligner: Aligner) -> None:
    reading = read_aloud(base, np.random.default_rng(1), WORDS)
    other = read_aloud(base, np.random.default_rng(2), WORDS)
    own_ids, other_ids = (each.symbols.unique_consecutive() for each in (reading, other))
    right = aligner.align(reading.samples, own_ids).confidence
    wrong = aligner.align(reading.samples, other_ids[: len(reading.symbols)]).confidence
    assert wrong < right - 0.5


def test_the_same_settings_make_the_same_classifier(base: HibariNetwork) -> None:
    settings = Distillation(steps=3, readings=3, crops=2)
    state = torch.get_rng_state()
    first, second = (distil(base, settings, WORDS).classifier.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), state)
