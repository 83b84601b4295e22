"""A posterior encoder by self-distillation: it learns, it is made once, and nothing else changes."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from small_voice import small_network

from vtune_vits.network.voice import VitsNetwork
from vtune_vits.training import posterior
from vtune_vits.training.own_speech import Distillation, Phonemes, Teacher, speak_examples

RANDOM = np.random.default_rng(3)
FEW = Distillation(steps=3, clips=2, frames=12)


def state(network: VitsNetwork) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_the_encoder_learns_and_everything_else_stays(network: VitsNetwork, phonemes: Phonemes) -> None:
    before, random_state = state(network), torch.random.get_rng_state()
    test = speak_examples(network, phonemes, 6, 24, np.random.default_rng(7))
    untaught = posterior.measure(network, test)

    reported = posterior.distil(
        Teacher(network, phonemes, ""), Distillation(steps=50, clips=3, frames=20, learning_rate=5e-3)
    )

    taught = posterior.measure(network, test)
    assert taught.divergence + 45 * taught.mel < 0.8 * (untaught.divergence + 45 * untaught.mel)
    assert reported.mel < untaught.mel
    changed = {
        name.partition(".")[0] for name, tensor in state(network).items() if not torch.equal(tensor, before[name])
    }
    assert changed == {"posterior_encoder"}
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_examples_are_what_the_vocoder_makes_of_their_latents(network: VitsNetwork, phonemes: Phonemes) -> None:
    (example,) = speak_examples(network, phonemes, 1, 20, np.random.default_rng(0))

    sound = network.decode(example.latents[None], None)[0].numpy()
    window = np.hanning(513)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, 128, mode="reflect"), 512)[::256]
    assert np.array_equal(example.sound, sound)
    part = example.part(2, 5)
    assert np.array_equal(part.sound, sound[2 * 256 : 5 * 256])
    assert torch.equal(part.latents, example.latents[:, 2:5])
    assert example.latents.shape == (8, example.magnitudes.shape[1])
    assert 20 <= example.latents.shape[1] < 29
    expected = np.sqrt(np.abs(np.fft.rfft(frames * window)) ** 2 + 1e-6).T
    np.testing.assert_allclose(example.magnitudes.numpy(), expected, rtol=1e-3, atol=1e-4)


def test_known_latents_have_the_likelihood_of_normal_distributions(network: VitsNetwork, phonemes: Phonemes) -> None:
    examples = [example.part(2, 14) for example in speak_examples(network, phonemes, 2, 20, RANDOM)]
    magnitudes = torch.stack([example.magnitudes for example in examples])
    means, log_scales = network.posterior(magnitudes, torch.ones(2, 12, dtype=torch.bool), None)
    latents = torch.stack([example.latents for example in examples])

    with torch.autocast("cpu", enabled=False):
        loss = posterior.latents_loss(network, examples)

    normal = torch.distributions.Normal(means, log_scales.exp())
    assert float(loss) == pytest.approx(float(-normal.log_prob(latents).mean()) - 0.5 * np.log(2 * np.pi), rel=2e-2)


def test_it_is_made_once_for_each_base_and_settings(
    network: VitsNetwork, phonemes: Phonemes, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vtune_vits")
    first, second, other = (small_network(network.settings, seed=seed) for seed in (1, 2, 3))

    posterior.load_distilled(first, Teacher(network, phonemes, "abc"), FEW)
    log = caplog.text
    posterior.load_distilled(second, Teacher(network, phonemes, "abc"), FEW)
    assert caplog.text == log
    posterior.load_distilled(other, Teacher(network, phonemes, "another base"), FEW)

    assert "step 3 of 3" in log
    assert "nats a frame from the prior, mel distance" in log
    assert caplog.text.count("step 3 of 3") == 2
    assert len(list(cache.rglob("posterior_encoder.safetensors"))) == 2
    for name, tensor in first.posterior_encoder.state_dict().items():
        assert torch.equal(tensor, second.posterior_encoder.state_dict()[name])


def test_the_same_settings_give_the_same_encoder(network: VitsNetwork, phonemes: Phonemes) -> None:
    encoders = []
    for _ in range(2):
        teacher = small_network(network.settings)
        posterior.distil(Teacher(teacher, phonemes, ""), FEW)
        encoders.append(teacher.posterior_encoder.state_dict())

    assert all(torch.equal(tensor, encoders[1][name]) for name, tensor in encoders[0].items())
