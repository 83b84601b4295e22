"""The tract and the colour: nothing at first, interpolation as NumPy's, learnable, and folded into the last layer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_hibari import small_network

from vtune_hibari.network.settings import BINS
from vtune_hibari.network.speaker import TRACT_UNIT, Speaker, folded_weights, stretch


def envelope(*formants: float) -> torch.Tensor:
    """Return levels with peaks at some bands."""
    bands = torch.arange(BINS).float()
    return sum((2 * torch.exp(-(((bands - formant) / 25) ** 2)) for formant in formants), torch.zeros(BINS))


def test_a_new_speaker_is_the_base() -> None:
    levels = torch.randn(2, 5, BINS)
    torch.testing.assert_close(Speaker()(levels), levels)


@pytest.mark.parametrize("tract", [-2.0, 0.3, 1.6])
def test_levels_are_read_further_up(tract: float) -> None:
    levels = np.random.default_rng(0).normal(size=(3, BINS))
    places = np.minimum(np.arange(BINS) * math.exp(TRACT_UNIT * tract), BINS - 1)
    expected = [np.interp(places, np.arange(BINS), row) for row in levels]
    np.testing.assert_allclose(stretch(torch.tensor(levels), torch.tensor([tract])), expected, atol=5e-4)


def test_a_longer_tract_has_lower_formants() -> None:
    factor = 1.08
    moved = stretch(envelope(200.0), torch.tensor([math.log(factor) / TRACT_UNIT]))
    assert int(moved.argmax()) == round(200 / factor)


def test_both_are_learned_from_levels() -> None:
    """A person with formants 8 % lower and a darker colour is found, with the recipe's optimizer, in its steps."""
    random = np.random.default_rng(0)
    vowels = [
        envelope(*(float(formant * random.uniform(0.8, 1.25)) for formant in (25, 75, 130, 180))) for _ in range(40)
    ]
    base = torch.stack(vowels)
    darker = -torch.arange(BINS) / 300
    person = stretch(base, torch.tensor([math.log(1.08) / TRACT_UNIT])) + darker
    speaker = Speaker()
    optimizer = torch.optim.AdamW(speaker.parameters(), lr=0.1)
    for step in range(100):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * (1 - step / 100)
        optimizer.zero_grad()
        (speaker(base) - person).abs().mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert math.exp(TRACT_UNIT * float(speaker.tract.weight)) == pytest.approx(1.08, abs=0.01)
    middle = slice(50, 500)
    assert float((speaker.colour.weight[middle, 0] - darker[middle]).abs().mean()) < 0.1


def test_a_folded_network_sounds_the_same() -> None:
    network = small_network()
    speaker = network.decoder.speaker
    with torch.no_grad():
        speaker.tract.weight.fill_(1.3)
        speaker.colour.weight.copy_(torch.randn(BINS, 1, generator=torch.Generator().manual_seed(0)))
    folded = small_network()
    missing, unexpected = folded.load_state_dict(folded_weights(network), strict=False)
    assert not unexpected
    assert sorted(missing) == ["decoder.speaker.colour.weight", "decoder.speaker.tract.weight"]
    frames = 12
    inputs = (
        torch.randn(1, frames, network.settings.acoustic_encoder.width), torch.full((1, frames), 120.0),
        torch.zeros(1, frames), torch.ones(1, frames, dtype=torch.bool),
    )  # fmt: skip
    for expected, found in zip(network.decoder(*inputs), folded.decoder(*inputs), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert float(speaker.tract.weight) == pytest.approx(1.3), "the network itself stays as it is"
