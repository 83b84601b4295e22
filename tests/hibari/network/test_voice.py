"""The parts of the network alone, in batches, and with padding."""

from __future__ import annotations

import pytest
import torch
from small_hibari import small_network, small_settings
from torch.nn.utils.rnn import pad_sequence

from vtune.toolkit.masks import length_mask
from vtune_hibari.network.expansion import expand, step_owners
from vtune_hibari.network.prosody import whole_steps
from vtune_hibari.network.sound import synthesise
from vtune_hibari.network.speaking import SpokenStyle, SpokenText, speak_texts, speaking_noise
from vtune_hibari.network.voice import HibariNetwork, frame_counts, new_network


@pytest.fixture(scope="module")
def network() -> HibariNetwork:
    return small_network()


def run(network: HibariNetwork, ids: list[torch.Tensor], durations: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return everything that the network computes for given durations and a given pitch."""
    lengths = torch.tensor([len(row) for row in ids])
    padded, steps = pad_sequence(ids, batch_first=True), pad_sequence(durations, batch_first=True)
    mask = length_mask(lengths, padded.shape[1])
    reading = network.read(padded, mask)
    prosody = network.predict_prosody(reading, steps)
    f0 = (100 + 2.0 * torch.arange(prosody.f0.shape[1])).expand(len(ids), -1)
    parts = network.decode(reading, steps, f0, prosody.energy)
    noise = torch.stack([speaking_noise(3, f0.shape[1]) for _ in ids])
    return {
        "log_durations": network.predict_log_durations(reading, mask), "f0": prosody.f0, "energy": prosody.energy,
        **parts._asdict(), "sound": synthesise(parts, f0, noise, frame_counts(steps)),
    }  # fmt: skip


def test_padding_changes_nothing(network: HibariNetwork) -> None:
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(1, 178, (length,), generator=generator) for length in (9, 4, 12)]
    durations = [torch.randint(1, 5, (len(row),), generator=generator) for row in ids]
    together = run(network, ids, durations)
    for row in range(3):
        alone = run(network, ids[row : row + 1], durations[row : row + 1])
        for name, expected in alone.items():
            found = together[name][row]
            size = expected.shape[1]
            # A longer row moves the interpolated pitch of nothing; only the order of sums differs.
            assert (found[:size] - expected[0]).abs().max() < 1e-4, name
            if name in ("log_durations", "f0", "energy", "sound"):
                assert (found[size:] == 0).all(), name


def test_columns_are_repeated_as_durations_say() -> None:
    hidden = torch.arange(12.0).view(2, 3, 2)
    durations = torch.tensor([[2, 0, 1], [1, 3, 0]])
    expanded = expand(hidden, durations)
    assert expanded.shape == (2, 4, 2)
    assert expanded[0, :, 0].tolist() == [0, 0, 4, 0]
    assert expanded[1, :, 0].tolist() == [6, 8, 8, 8]
    assert step_owners(durations).tolist() == [[0, 0, 2, 3], [0, 1, 1, 1]]


def test_steps_are_whole_at_least_one_and_fewer_at_speed() -> None:
    logarithms = torch.log1p(torch.tensor([0.0, 0.4, 2.5, 10.2]))
    assert whole_steps(logarithms).tolist() == [1, 1, 2, 10]  # halves are rounded to even numbers, as ONNX does
    assert whole_steps(logarithms, speed=2.0).tolist() == [1, 1, 1, 5]
    assert whole_steps(torch.tensor([float("nan"), 1e9])).tolist() == [1, 2400]


def test_gradients_reach_every_weight() -> None:
    network = small_network().requires_grad_(True)
    result = run(network, [torch.tensor([0, 50, 83, 54, 0])], [torch.tensor([1, 2, 3, 2, 1])])
    sum(value.real.square().sum() for value in result.values()).backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_random_weights_depend_on_the_seed_alone() -> None:
    state = torch.random.get_rng_state()
    first, second, other = (new_network(small_settings(), seed).decoder.head.weight for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_sentences_spoken_together_sound_as_alone(network: HibariNetwork) -> None:
    texts = [SpokenText(torch.tensor([0, *range(43, 43 + length), 0]), seed) for length, seed in ((5, 1), (9, 2))]
    together = speak_texts(network, texts, SpokenStyle())
    for text, spoken in zip(texts, together, strict=True):
        (alone,) = speak_texts(network, [text], SpokenStyle())
        assert torch.equal(spoken.durations, alone.durations)
        assert (spoken.waveform - alone.waveform).abs().max() < 1e-3 * alone.waveform.abs().max()
