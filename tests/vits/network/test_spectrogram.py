"""Spectrograms: against NumPy's Fourier transform, librosa's mel filters, and the same clip in a padded batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vtune_vits.network.spectrogram import MEL_BANDS, linear_spectrogram, log_mel, mel_filters

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(("fft_size", "hop_length", "samples"), [(1024, 256, 5120), (64, 16, 320), (512, 128, 1290)])
def test_magnitudes_are_those_of_each_window(fft_size: int, hop_length: int, samples: int) -> None:
    sound = RANDOM.uniform(-1, 1, samples).astype(np.float32)
    margin = (fft_size - hop_length) // 2
    mirrored = np.pad(sound.astype(np.float64), margin, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fft_size) / fft_size)
    frames = [mirrored[start : start + fft_size] for start in range(0, samples - hop_length + 1, hop_length)]
    expected = np.sqrt(np.abs(np.fft.rfft(np.stack(frames) * window)) ** 2 + 1e-6).T

    spectrogram = linear_spectrogram(torch.from_numpy(sound)[None], fft_size, hop_length)[0]

    assert spectrogram.shape == (fft_size // 2 + 1, samples // hop_length)
    np.testing.assert_allclose(spectrogram.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_padding_changes_no_frame_of_a_clip() -> None:
    clips = [torch.from_numpy(RANDOM.uniform(-1, 1, samples).astype(np.float32)) for samples in (2560, 4096)]
    batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)

    together = linear_spectrogram(batch, 1024, 256, torch.tensor([2560, 4096]))

    for row, clip in enumerate(clips):
        alone = linear_spectrogram(clip[None], 1024, 256)[0]
        torch.testing.assert_close(together[row, :, : alone.shape[1]], alone)


@pytest.mark.parametrize("sample_rate", [16_000, 22_050])
def test_mel_filters_are_librosas(sample_rate: int) -> None:
    librosa = pytest.importorskip("librosa")
    expected = librosa.filters.mel(sr=sample_rate, n_fft=1024, n_mels=MEL_BANDS)

    np.testing.assert_allclose(mel_filters(sample_rate, 1024, MEL_BANDS).numpy(), expected, atol=1e-6)


def test_a_tone_lies_in_the_band_around_its_frequency() -> None:
    """1,000 Hz are 15 mels on Slaney's scale, and 22,050 Hz reach 15 + log(11.025) / (log(6.4) / 27) = 49.91 mels."""
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(8192) / 22_050)[None]

    levels = log_mel(linear_spectrogram(tone, 1024, 256), 22_050)[0].mean(1)

    assert int(levels.argmax()) == round(15 / (49.91 / 81)) - 1


def test_silence_is_the_floor() -> None:
    levels = log_mel(torch.zeros(1, 513, 2), 22_050)

    assert levels.tolist() == [[[pytest.approx(np.log(1e-5))] * 2] * MEL_BANDS]
