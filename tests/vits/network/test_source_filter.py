"""The vocoder of source and filters: what its filters mean, against formulas and sums that are computed otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_voice import small_settings

from vtune.toolkit.pitch import measure_f0
from vtune.toolkit.pulses import pulse_train
from vtune_vits.network.settings import SourceFilterSettings
from vtune_vits.network.source_filter import (
    NOISE_SAMPLES,
    TYPICAL_F0_HZ,
    Filters,
    SourceFilterVocoder,
    minimum_phase,
    with_contrast,
)

SHAPES = SourceFilterSettings(width=16, blocks=2, pitch_width=8, pitch_blocks=1, kernel=3)
SETTINGS = small_settings(source_filter=SHAPES)
RATE, HOP, BINS = 22_050, 256, 513
FRAMES = 40
SILENT = -40.0
MIDDLE = slice(4 * HOP, -4 * HOP)
"""Without the ends, where the sound is faded."""


@pytest.fixture
def vocoder() -> SourceFilterVocoder:
    torch.manual_seed(0)
    return SourceFilterVocoder(SETTINGS).eval()


def filters(harmonics: float, noise: float, frames: int = FRAMES) -> Filters:
    full = torch.ones(1, frames, BINS)
    return Filters(harmonics * full, noise * full, torch.full((1, frames), np.log(TYPICAL_F0_HZ)))


def test_filters_without_colour_let_the_pulses_through(vocoder: SourceFilterVocoder) -> None:
    f0 = torch.linspace(120, 180, FRAMES)[None]
    sound = vocoder.sound(filters(np.log(0.5), SILENT), f0, torch.tensor([0]))
    pulses = pulse_train(f0, torch.tensor([FRAMES]), RATE, HOP, 0.95 * RATE / 2)
    assert (sound - 0.5 * pulses)[:, MIDDLE].abs().max() < 1e-4 * pulses.abs().max()


def test_filters_without_colour_let_the_noise_through(vocoder: SourceFilterVocoder) -> None:
    start = NOISE_SAMPLES - 1000  # the noise begins again after 1,000 samples
    sound = vocoder.sound(filters(SILENT, np.log(0.1)), torch.full((1, FRAMES), 100.0), torch.tensor([start]))
    noise = torch.cat([vocoder.noise_cycle[start:], vocoder.noise_cycle])[: FRAMES * HOP]
    assert (sound[0] - 0.1 * noise)[MIDDLE].abs().max() < 1e-4
    assert float(noise.std()) == pytest.approx(1, rel=0.03)


def test_neighbouring_bands_of_noise_have_one_gain(vocoder: SourceFilterVocoder) -> None:
    with torch.no_grad():
        vocoder.gains.head.weight.zero_()
        vocoder.gains.head.bias.copy_(
            torch.arange(2 * BINS) % 5
        )  # 0 to 4 again and again; the gain of 2 is the largest
        filters = vocoder.filters(torch.zeros(1, SETTINGS.flow_size, 3), None)
    learned = np.minimum(np.arange(2 * BINS) % 5, 2.0)
    np.testing.assert_allclose(filters.harmonics[0, 0], learned[:BINS], atol=1e-6)
    padded = np.pad(learned[BINS:], 2, mode="edge")
    np.testing.assert_allclose(filters.noise[0, 0], np.convolve(padded, np.full(5, 0.2), "valid"), atol=1e-6)


def test_the_phase_is_that_of_a_filter_whose_phase_is_known() -> None:
    angles = np.linspace(0, np.pi, BINS)
    response = (1 - 0.4 * np.exp(-1j * angles)) / (1 - 1.1 * np.exp(-1j * angles) + 0.5 * np.exp(-2j * angles))
    phase = minimum_phase(torch.tensor(np.log(np.abs(response)), dtype=torch.float32)).numpy()
    assert np.abs(phase - np.angle(response)).max() < 1e-4


def test_the_voice_speaks_at_the_pitch_that_it_reads_from_the_latents(vocoder: SourceFilterVocoder) -> None:
    with torch.no_grad():
        vocoder.gains.head.bias[:BINS] = -4.0
        vocoder.pitch.head.weight.zero_()
        vocoder.pitch.head.bias.fill_(np.log(210.0))
        sound = vocoder(torch.randn(1, SETTINGS.flow_size, FRAMES))[0, 0].numpy()
    f0 = measure_f0(sound, RATE, HOP)[4:-4]
    assert np.abs(1200 * np.log2(f0 / 210.0)).max() < 5
    assert np.abs(sound).max() <= 1


def test_a_recording_is_made_twice_with_other_noise_each_time(vocoder: SourceFilterVocoder) -> None:
    latents, f0 = torch.randn(2, SETTINGS.flow_size, FRAMES), torch.full((2, FRAMES), 150.0)
    lots = torch.tensor([0.2, 0.7], dtype=torch.float64)
    with torch.no_grad():
        draws, log_f0 = vocoder.make(latents, None, f0, lots)
        again, _ = vocoder.make(latents, None, f0, lots)
        alone, _ = vocoder.make(latents[1:], None, f0[1:], lots[1:])
        vocoder.gains.head.bias[BINS:] = SILENT
        vocoder.gains.head.weight[BINS:] = 0
        without, _ = vocoder.make(latents, None, f0, lots)
    assert draws.shape == (2, 2, FRAMES * HOP)
    assert log_f0 is not None
    assert log_f0.shape == (2, FRAMES)
    assert torch.equal(draws, again)
    assert torch.allclose(draws[0, 1], alone[0, 0], atol=1e-7)
    assert not torch.allclose(draws[0], draws[1])
    assert torch.allclose(without[0], without[1], atol=1e-7)


def test_contrast_spreads_gains_around_their_mean_over_time() -> None:
    harmonics = torch.tensor([[[-6.0, -3.0], [-4.0, -3.0]]])  # two frames, two bands
    plain = Filters(harmonics, harmonics - 1, torch.zeros(1, 2))
    spread = with_contrast(plain, 1.5)
    assert spread.harmonics.tolist() == [[[-6.5, -3.0], [-3.5, -3.0]]]
    assert spread.noise.tolist() == [[[-7.5, -4.0], [-4.5, -4.0]]]
    assert with_contrast(plain, 1.0) is plain


def test_a_recording_without_its_pitch_is_refused(vocoder: SourceFilterVocoder) -> None:
    with pytest.raises(ValueError, match="with their pitch, and there is none"):
        vocoder.make(torch.randn(1, SETTINGS.flow_size, 5), None, None, torch.zeros(1))


def test_speakers_sound_and_intone_differently() -> None:
    torch.manual_seed(0)
    vocoder = SourceFilterVocoder(replace(SETTINGS, speakers=2, speaker_size=4))
    latents = torch.randn(1, SETTINGS.flow_size, 5)
    with torch.no_grad():
        one, other = (vocoder.filters(latents, torch.full((1, 4, 1), value)) for value in (0.5, -0.5))
    assert not torch.allclose(one.harmonics, other.harmonics)
    assert not torch.allclose(one.log_f0, other.log_f0)


def test_gradients_reach_every_weight() -> None:
    torch.manual_seed(0)
    vocoder = SourceFilterVocoder(SETTINGS)
    draws, log_f0 = vocoder.make(
        torch.randn(1, SETTINGS.flow_size, 9), None, torch.full((1, 9), 150.0), torch.zeros(1, dtype=torch.float64)
    )
    assert log_f0 is not None
    (draws.square().sum() + log_f0.sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in vocoder.parameters())
