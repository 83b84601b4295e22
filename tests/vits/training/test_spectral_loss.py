"""The spectral loss, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vtune_vits.network.spectrogram import linear_spectrogram, log_mel, stft_magnitudes
from vtune_vits.training.spectral_loss import FFT_SIZES, LEVEL_RMS, levelled, stft_loss

SAMPLES = 8192


def noise(seed: int) -> torch.Tensor:
    return 0.2 * torch.randn(2, SAMPLES, generator=torch.Generator().manual_seed(seed))


def magnitudes(segment: np.ndarray, size: int) -> np.ndarray:
    """Return what a plain Fourier transform of each frame says, ``[bins, frames]``."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    frames = np.lib.stride_tricks.sliding_window_view(segment, size)[:: size // 4]
    return np.sqrt(np.abs(np.fft.rfft(frames * window)) ** 2 + 1e-6).T


@pytest.mark.parametrize("size", FFT_SIZES)
def test_magnitudes_are_those_of_a_plain_transform(size: int) -> None:
    segments = noise(0)

    result = stft_magnitudes(segments, size)

    expected = np.stack([magnitudes(row, size) for row in segments.double().numpy()])
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-3, atol=1e-4)


def test_the_loss_is_the_mean_over_resolutions() -> None:
    recorded, made = noise(1), noise(2)
    expected = []
    for size in FFT_SIZES:
        real, fake = (np.stack([magnitudes(row, size) for row in t.double().numpy()]) for t in (recorded, made))
        expected.append(np.abs(np.log(real) - np.log(fake)).mean() + np.linalg.norm(real - fake) / np.linalg.norm(real))

    assert float(stft_loss(recorded, made[None])) == pytest.approx(np.mean(expected), rel=1e-4)
    assert float(stft_loss(recorded, recorded[None])) == 0


def test_half_the_distance_between_two_made_sounds_is_taken_off() -> None:
    recorded, made = noise(1), torch.stack([noise(2), noise(3)])
    expected = []
    for size in FFT_SIZES:
        real, one, other = (
            np.stack([magnitudes(row, size) for row in t.double().numpy()]) for t in (recorded, made[0], made[1])
        )
        distances = [
            np.abs(np.log(a) - np.log(b)).mean() + np.linalg.norm(a - b) / np.linalg.norm(real)
            for a, b in ((real, one), (real, other), (one, other))
        ]
        expected.append((distances[0] + distances[1] - distances[2]) / 2)

    assert float(stft_loss(recorded, made)) == pytest.approx(np.mean(expected), rel=1e-4)


def test_recorded_and_made_sound_are_amplified_alike() -> None:
    recorded, made = 0.01 * noise(1), torch.stack([noise(2), noise(3)])
    loud, louder = levelled(recorded, made)

    assert loud.square().mean(1).sqrt().tolist() == pytest.approx([LEVEL_RMS] * len(loud))
    torch.testing.assert_close(louder / made, (loud / recorded)[None].expand_as(made), rtol=1e-3, atol=1e-3)


def test_a_line_that_a_mel_band_hides_is_seen() -> None:
    """A tone of a tenth of the noise's level stands out in a long window, and hardly in its mel band."""
    recorded, hertz = noise(3), 6_890
    made = recorded + 0.02 * torch.sin(2 * torch.pi * hertz / 22_050 * torch.arange(SAMPLES))

    lines = (stft_magnitudes(made, 2048).log() - stft_magnitudes(recorded, 2048).log()).mean((0, 2))
    mels = [log_mel(linear_spectrogram(sound, 1024, 256), 22_050) for sound in (recorded, made)]

    assert int(lines.argmax()) == round(hertz * 2048 / 22_050)
    assert float(lines.max()) > 5 * float((mels[1] - mels[0]).mean((0, 2)).max())


def test_silence_has_a_gradient() -> None:
    made = torch.zeros(1, SAMPLES, requires_grad=True)

    stft_loss(noise(5)[:1], made[None]).backward()

    assert made.grad is not None
    assert made.grad.isfinite().all()
