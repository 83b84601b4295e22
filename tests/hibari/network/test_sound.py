"""The sound against sums and transforms that are computed the long way."""

from __future__ import annotations

import numpy as np
import torch

from vtune_hibari.network.decoder import SpectralParts
from vtune_hibari.network.settings import BINS, HOP_SAMPLES, SAMPLE_RATE
from vtune_hibari.network.sound import combine, inverse_stft, stft, synthesise

SILENT = -30.0
"""A logarithm of a level that nobody hears."""


def parts(frames: int, **levels: float) -> SpectralParts:
    values = {name: levels.get(name, SILENT if name.endswith("level") else 0.0) for name in SpectralParts._fields}
    return SpectralParts(**{name: torch.full((1, frames, BINS), value) for name, value in values.items()})


def test_a_spectrum_is_the_windowed_transform_around_the_beginning_of_a_frame() -> None:
    frames = 6
    samples = np.random.default_rng(0).normal(size=frames * HOP_SAMPLES)
    spectra = stft(torch.tensor(samples)[None].float(), torch.tensor([frames]))[0].numpy()
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1200) / 1200)
    padded = np.pad(samples, 600, mode="reflect")
    for frame in range(frames):
        piece = padded[frame * HOP_SAMPLES : frame * HOP_SAMPLES + 1200]
        assert np.abs(spectra[frame] - np.fft.rfft(piece * window) / 300).max() < 1e-5


def test_the_inverse_gives_the_samples_back() -> None:
    counts = torch.tensor([7, 4])
    samples = torch.randn(2, 7 * HOP_SAMPLES, generator=torch.Generator().manual_seed(0))
    samples[1, 4 * HOP_SAMPLES :] = 0
    again = inverse_stft(stft(samples, counts) * 300, counts)
    # The last window of a row reaches over its end, where a whole signal would have one window more.
    for row, count in enumerate(counts.tolist()):
        inside = slice(0, (count - 2) * HOP_SAMPLES)
        assert (again - samples)[row, inside].abs().max() < 1e-4
    assert (again[1, 4 * HOP_SAMPLES :] == 0).all()


def test_a_steady_pitch_is_heard_with_its_level_and_the_noise_with_its_own() -> None:
    frames, noise = 80, torch.zeros(1, 80, BINS, dtype=torch.complex64)
    f0 = torch.full((1, frames), 200.0)
    sound = synthesise(parts(frames, harmonic_level=np.log(5.0)), f0, noise, torch.tensor([frames]))[0]
    spectrum = np.abs(np.fft.rfft(sound[2400:-2400].numpy()))
    hertz = np.fft.rfftfreq(len(sound) - 4800, 1 / SAMPLE_RATE)
    peaks = [spectrum[np.abs(hertz - 200 * number).argmin()] for number in (1, 2, 10, 50)]
    # A level of 300 is a cosine of amplitude 1, because a window of 1,200 samples sums up to 600.
    assert np.allclose(peaks, (len(sound) - 4800) / 2 * 5 / 300, rtol=0.02)
    assert spectrum[np.abs(hertz - 300).argmin()] < 0.01 * peaks[0]
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(1, frames, BINS, 2, generator=generator)
    noise = torch.view_as_complex(numbers)
    loud, soft = (
        synthesise(parts(frames, noise_level=level), torch.zeros(1, frames), noise, torch.tensor([frames])).std()
        for level in (1.0, 0.0)
    )
    assert abs(float(loud / soft) - np.e) < 0.01


def test_levels_are_cut_off_and_phases_turn() -> None:
    source = torch.ones(1, 1, BINS, dtype=torch.complex64)
    zero = torch.zeros_like(source)
    assert combine(parts(1, harmonic_level=50.0), source, zero).abs().max() < 1.01 * np.exp(7.0)
    turned = combine(parts(1, harmonic_level=0.0, harmonic_phase=0.5), source, zero)
    assert np.allclose(turned.angle().numpy(), np.pi * np.tanh(0.5), atol=1e-5)


def test_gradients_reach_every_part() -> None:
    leaves = SpectralParts(*(part.clone().requires_grad_() for part in parts(6, harmonic_level=0.0, noise_level=0.0,
                                                                              residual_level=0.0)))  # fmt: skip
    noise = torch.ones(1, 6, BINS, dtype=torch.complex64)
    synthesise(leaves, torch.full((1, 6), 150.0), noise, torch.tensor([6]))[0, ::7].square().sum().backward()
    for name, leaf in leaves._asdict().items():
        assert leaf.grad is not None, name
        assert leaf.grad.abs().sum() > 0, name
