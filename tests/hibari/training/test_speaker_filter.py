"""Behind the filter, three levels share one smooth gradient, and phases have none."""

from __future__ import annotations

import torch

from vtune_hibari.network.decoder import SpectralParts
from vtune_hibari.network.settings import BINS
from vtune_hibari.training.speaker_filter import filter_bands, learn_filter


def parts() -> SpectralParts:
    generator = torch.Generator().manual_seed(0)
    return SpectralParts(*(torch.randn(2, 3, BINS, generator=generator).requires_grad_() for _ in range(5)))


def test_the_parts_stay_as_they_are() -> None:
    before = parts()
    for old, new in zip(before, learn_filter(before), strict=True):
        assert torch.equal(old, new)


def test_all_levels_get_the_gradient_of_one_filter() -> None:
    before = parts()
    weights = [torch.randn(2, 3, BINS, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    harmonic, phase, noise, residual, residual_phase = learn_filter(before)
    assert not phase.requires_grad
    assert not residual_phase.requires_grad
    levels = (harmonic, noise, residual)
    sum((level * weight).sum() for level, weight in zip(levels, weights, strict=True)).backward()
    gain = torch.zeros(2, 3, len(filter_bands()), requires_grad=True)  # the filter as a parameter of its own
    ((gain @ filter_bands()) * sum(weights)).sum().backward()
    for level in (before.harmonic_level, before.noise_level, before.residual_level):
        torch.testing.assert_close(level.grad, gain.grad @ filter_bands())


def test_the_bands_of_the_filter_cover_the_spectrum() -> None:
    torch.testing.assert_close(filter_bands().sum(0), torch.ones(BINS))
