from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_voice import HIGH, MEDIUM, small_network, small_settings, transformers_model

from vtune_vits.network.noise import SpeakingNoise
from vtune_vits.network.settings import DurationSettings, VitsSettings
from vtune_vits.network.speaking import SpokenStyle
from vtune_vits.network.voice import VitsNetwork

VOICES = {
    "one speaker": small_settings(),
    "high": small_settings(vocoder=HIGH),
    "three speakers": small_settings(speakers=3, speaker_size=5),
    "not stochastic": small_settings(speakers=2, speaker_size=4, stochastic_durations=False),
    "other sizes": small_settings(
        hidden_size=24,
        heads=4,
        window=2,
        ffn_kernel=4,
        wavenet_dilation=2,
        durations=DurationSettings(flows=3, bins=7, layers=2, kernel=5),
    ),
}

TEXT_LENGTHS = (7, 3, 11)
FRAME_COUNTS = (9, 14, 4)
SPEAKERS = torch.tensor([1, 0, 1])


@pytest.fixture(params=VOICES, scope="module")
def network(request: pytest.FixtureRequest) -> VitsNetwork:
    return small_network(VOICES[request.param])


def _mask(lengths: tuple[int, ...]) -> torch.Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _same(alone: torch.Tensor, padded: torch.Tensor) -> None:
    assert alone.abs().max() > 1e-3
    torch.testing.assert_close(alone, padded, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_a_text_reads_alone_as_it_reads_beside_longer_ones(network: VitsNetwork) -> None:
    settings = network.settings
    ids = torch.randint(1, settings.vocab_size, (3, 11), generator=torch.Generator().manual_seed(1))
    mask, noise = _mask(TEXT_LENGTHS), _random(3, 2, 11)
    durations = torch.randint(1, 9, (3, 11), generator=torch.Generator().manual_seed(2)) * mask
    ids = torch.where(mask, ids, 0)
    speaker = network.embed(SPEAKERS)
    reading = network.read(ids, mask)
    predicted = network.predict_log_durations(reading.hidden, mask, speaker, noise)
    losses = network.duration_loss(reading.hidden, mask, durations, speaker, noise)
    assert losses.dtype == torch.float32
    assert not predicted[~mask].any()
    for row, length in enumerate(TEXT_LENGTHS):
        clip, its_mask = slice(row, row + 1), mask[row : row + 1, :length]
        its_speaker = network.embed(SPEAKERS[clip])
        alone = network.read(ids[clip, :length], its_mask)
        for part, batched in zip(alone, reading, strict=True):
            _same(part, batched[clip, :, :length])
            assert not batched[row, :, length:].any()
        arguments = (alone.hidden, its_mask, its_speaker, noise[clip, :, :length])
        _same(network.predict_log_durations(*arguments), predicted[clip, :length])
        loss = network.duration_loss(*arguments[:2], durations[clip, :length], *arguments[2:])
        _same(loss, losses[clip])


@torch.no_grad()
def test_frames_are_alone_what_they_are_beside_longer_clips(network: VitsNetwork) -> None:
    settings = network.settings
    mask = _mask(FRAME_COUNTS)
    speaker = network.embed(SPEAKERS)
    latents = _random(3, settings.flow_size, 14) * mask[:, None]
    spectrogram = _random(3, settings.spectrogram_bins, 14, seed=1).abs() * mask[:, None]
    prior = network.to_prior(latents, mask, speaker)
    back = network.from_prior(latents, mask, speaker)
    posterior = network.posterior(spectrogram, mask, speaker)
    for row, count in enumerate(FRAME_COUNTS):
        clip, its_mask, its_speaker = (
            slice(row, row + 1),
            mask[row : row + 1, :count],
            network.embed(SPEAKERS[row : row + 1]),
        )
        _same(network.to_prior(latents[clip, :, :count], its_mask, its_speaker), prior[clip, :, :count])
        _same(network.from_prior(latents[clip, :, :count], its_mask, its_speaker), back[clip, :, :count])
        alone = network.posterior(spectrogram[clip, :, :count], its_mask, its_speaker)
        for part, batched in zip(alone, posterior, strict=True):
            _same(part, batched[clip, :, :count])
        assert not any(batched[row, :, count:].any() for batched in (prior, back, *posterior))


@torch.no_grad()
def test_the_flow_backwards_undoes_the_flow_forwards(network: VitsNetwork) -> None:
    mask, speaker = _mask(FRAME_COUNTS), network.embed(SPEAKERS)
    latents = _random(3, network.settings.flow_size, 14) * mask[:, None]
    prior = network.to_prior(latents, mask, speaker)
    assert (prior - latents).abs().max() > 0.1
    torch.testing.assert_close(network.from_prior(prior, mask, speaker), latents, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        network.to_prior(network.from_prior(latents, mask, speaker), mask, speaker), latents, atol=1e-5, rtol=1e-5
    )


def test_a_network_that_is_made_without_gradients_learns_all_the_same() -> None:
    with torch.no_grad():
        network = VitsNetwork(small_settings())
    assert dict(network.named_parameters()).keys() == network.state_dict().keys()
    assert all(parameter.requires_grad for parameter in network.parameters())


@torch.no_grad()
def test_speakers_sound_different() -> None:
    network = small_network(VOICES["three speakers"])
    style, ids = SpokenStyle(0.5, 0.5, 1.0), torch.arange(1, 12)
    waveforms = [
        network.speak(ids, style, number, SpeakingNoise(0), torch.full((11,), 3)).waveform for number in range(3)
    ]
    assert all((waveforms[a] - waveforms[b]).abs().max() > 1e-3 for a, b in ((0, 1), (0, 2), (1, 2)))
    with pytest.raises(ValueError, match="3 speakers"):
        network.embed(None)


@torch.no_grad()
def test_a_longer_style_has_longer_durations_and_given_durations_are_kept() -> None:
    network = small_network()
    ids = torch.arange(1, 20)
    slow, fast = (network.speak(ids, SpokenStyle(0.3, 0.3, scale), 0, SpeakingNoise(4)) for scale in (5.0, 1.0))
    assert slow.durations.sum() > 2 * fast.durations.sum()
    given = torch.tensor([2, 0, 5] + [1] * 16)
    spoken = network.speak(ids, SpokenStyle(0.3, 0.3, 1.0), 0, SpeakingNoise(4), given)
    assert torch.equal(spoken.durations, given)
    assert spoken.latents.shape == (network.settings.flow_size, 23)
    assert spoken.waveform.shape == (23 * network.settings.hop_length,)


@torch.no_grad()
def test_a_predictor_that_says_nothing_sensible_cannot_fill_the_memory() -> None:
    network = small_network(small_settings(stochastic_durations=False))
    ids, style = torch.tensor([1, 2]), SpokenStyle(0.0, 0.0, 1.0)
    network.duration_predictor.proj.bias.fill_(float("nan"))
    assert network.speak(ids, style, 0, SpeakingNoise(0)).durations.tolist() == [1, 1]
    network.duration_predictor.proj.bias.fill_(-1e4)  # every duration is 0
    assert network.speak(ids, style, 0, SpeakingNoise(0)).durations.tolist() == [0, 1]


def test_all_convolutions_are_plain_and_every_parameter_learns(network: VitsNetwork) -> None:
    assert not any("parametrizations" in name for name in network.state_dict())
    mask, frame_mask = _mask(TEXT_LENGTHS), _mask(FRAME_COUNTS)
    speaker = network.embed(SPEAKERS)
    ids = torch.ones(3, 11, dtype=torch.long)
    reading = network.read(ids, mask)
    loss = network.duration_loss(reading.hidden, mask, 3 * mask, speaker, _random(3, 2, 11)).sum()
    latents, log_scales = network.posterior(_random(3, 513, 14), frame_mask, speaker)
    loss = loss + network.to_prior(latents, frame_mask, speaker).square().sum() + log_scales.square().sum()
    loss = loss + reading.means.square().sum() + network.decode(latents, speaker).square().sum()
    network.zero_grad()
    loss.backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []


@pytest.mark.parametrize("speakers", [1, 3])
@torch.no_grad()
def test_it_speaks_what_transformers_speaks_from_the_same_weights_and_the_same_noise(
    speakers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small_settings(vocoder=HIGH, speakers=speakers, speaker_size=6 if speakers > 1 else 0)
    network = small_network(settings)
    model = transformers_model(network)
    ids = torch.arange(25)[None]
    model.noise_scale, model.noise_scale_duration, model.speaking_rate = 0.6, 0.7, 0.5
    noises = _RecordedNoise(monkeypatch)
    expected = model(ids, speaker_id=speakers - 1).waveform[0]
    spoken = network.speak(ids[0], SpokenStyle(0.6, 0.7, 2.0), speakers - 1, noises)
    assert expected.std() > 1e-3
    torch.testing.assert_close(spoken.waveform, expected, atol=1e-5, rtol=1e-4)


class _RecordedNoise(SpeakingNoise):
    """Gives the noise that transformers drew since this object was made: that of durations, then that of latents."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.drawn: list[torch.Tensor] = []
        for name in ("randn", "randn_like"):
            monkeypatch.setattr(torch, name, self._recorder(getattr(torch, name)))

    def _recorder(self, draw: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def recorded(*arguments: Any) -> torch.Tensor:
            self.drawn.append(draw(*arguments))
            return self.drawn[-1]

        return recorded

    def durations(self, length: int) -> torch.Tensor:
        return self.drawn[0][0]

    def latents(self, channels: int, frames: int) -> torch.Tensor:
        return self.drawn[1][0]


def test_noise_depends_on_the_seed_only() -> None:
    torch.manual_seed(5)
    first = SpeakingNoise(7)
    assert torch.equal(first.durations(9), SpeakingNoise(7).durations(9))
    assert not torch.equal(SpeakingNoise(7).latents(2, 9), SpeakingNoise(8).latents(2, 9))
    assert not torch.equal(SpeakingNoise(7).latents(2, 9), SpeakingNoise(7).durations(9))
    assert torch.equal(torch.randn(3), torch.randn(3, generator=torch.Generator().manual_seed(5)))


def test_settings_are_pipers_medium() -> None:
    settings = VitsSettings()
    settings.check("defaults")
    assert (settings.hop_length, settings.fft_size, settings.sample_rate) == (256, 1024, 22050)
    assert settings.vocoder.first_channels == 8 * MEDIUM.first_channels
    assert settings.config()._attn_implementation == "eager"
