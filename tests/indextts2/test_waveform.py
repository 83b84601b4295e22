"""Sample rates, filter banks and mel spectrograms are compared with their formulas in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune_indextts2.waveform import resampling
from vtune_indextts2.waveform.filterbank import centred_filter_bank, filter_bank
from vtune_indextts2.waveform.mel import MelSettings, log_mel
from vtune_indextts2.waveform.resampling import resample

RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sine(hertz: float, rate: int, samples: int) -> torch.Tensor:
    return torch.sin(2 * torch.pi * hertz / rate * torch.arange(samples, dtype=torch.float64)).float()


def filtered(waveform: np.ndarray, old: int, new: int, output: int) -> float:
    """Return one output sample: all input samples, weighted by their distance from it."""
    cutoff = 0.99 * min(1.0, new / old)
    distance = cutoff * (output * old / new - np.arange(len(waveform)))
    weights = np.where(np.abs(distance) < 6, cutoff * np.sinc(distance) * np.cos(np.pi * distance / 12) ** 2, 0)
    return float(weights @ waveform)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(RATES), st.sampled_from(RATES), st.integers(0, 700), st.integers(0, 10**6))
def test_each_output_is_the_windowed_sum_around_its_place(old: int, new: int, samples: int, seed: int) -> None:
    waveform = noise(samples, seed=seed)
    got = resample(waveform, old, new)
    assert got.dtype == torch.float32
    assert got.shape == (-(-samples * new // old),)
    if old == new:
        assert torch.equal(got, waveform)
    else:
        expected = [filtered(waveform.double().numpy(), old, new, output) for output in range(len(got))]
        np.testing.assert_allclose(got.numpy(), np.array(expected), rtol=0, atol=2e-6)


def test_clips_side_by_side_do_not_hear_each_other() -> None:
    waveform = noise(2, 3, 500)
    together = resample(waveform, 44_100, 16_000)
    assert together.shape == (2, 3, 182)
    torch.testing.assert_close(together[1, 2], resample(waveform[1, 2], 44_100, 16_000), rtol=0, atol=1e-7)


@pytest.mark.parametrize(("old", "new"), [(47_999, 22_050), (15_999, 48_000), (44_101, 16_000), (44_100, 22_051)])
def test_odd_rates_keep_pitch_time_and_length_and_need_no_large_kernel(
    old: int, new: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resampling, "_kernel", lambda *_: pytest.fail("a kernel of gigabytes"))
    waveform = torch.stack([sine(440, old, old // 4), sine(5678, old, old // 4)])
    got = resample(waveform, old, new)
    samples = -(-(old // 4) * new // old)
    assert got.shape == (2, samples)
    expected = torch.stack([sine(440, new, samples), sine(5678, new, samples)])
    torch.testing.assert_close(got[:, 200:-200], expected[:, 200:-200], rtol=0, atol=1e-3)
    assert resample(waveform[:, :0], old, new).shape == (2, 0)


def test_what_the_new_rate_cannot_hold_is_gone_not_folded_down() -> None:
    got = resample(sine(11_000, 44_100, 20_000), 44_100, 16_000)
    assert float(got[200:-200].abs().max()) < 0.01  # 6 zero crossings damp by no more than 50 dB


def kaldi_triangles() -> np.ndarray:
    def mel(hertz: np.ndarray | float) -> np.ndarray:
        return 1127 * np.log(1 + np.asarray(hertz) / 700)

    edges = np.linspace(mel(20), mel(8000), 82)
    bins = mel(np.arange(257) * 16_000 / 512)
    rows = []
    for left, centre, right in zip(edges, edges[1:], edges[2:], strict=False):
        rows.append(np.clip(np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)), 0, None))
    return np.array(rows)


@settings(deadline=None, max_examples=15)
@given(st.integers(400, 3000), st.integers(0, 10**6))
def test_filter_bank_is_kaldis(samples: int, seed: int) -> None:
    waveform = noise(samples, seed=seed)
    got = filter_bank(waveform)
    assert got.shape == (1 + (samples - 400) // 160, 80)
    window = np.hanning(400) ** 0.85
    for frame, energies in enumerate(got.numpy()):
        piece = waveform.double().numpy()[frame * 160 : frame * 160 + 400]
        piece = piece - piece.mean()
        piece = piece - 0.97 * np.concatenate([piece[:1], piece[:-1]])
        power = np.abs(np.fft.fft(piece * window, 512)[:257]) ** 2
        np.testing.assert_allclose(energies, np.log(np.maximum(kaldi_triangles() @ power, 2.0**-23)), atol=1e-3)
    torch.testing.assert_close(filter_bank(waveform[None]), got, rtol=0, atol=0)
    centred = centred_filter_bank(waveform)
    torch.testing.assert_close(centred, got - got.mean(dim=0), rtol=0, atol=1e-5)
    assert float(centred.mean(dim=0).abs().max()) < 1e-5


def test_silence_is_the_floor_everywhere() -> None:
    for waveform in (torch.zeros(1000), torch.full((1000,), 0.3)):  # a constant is silence to Kaldi
        assert torch.equal(filter_bank(waveform), torch.full((4, 80), float(np.log(2.0**-23))))
    assert torch.equal(centred_filter_bank(torch.zeros(1000)), torch.zeros(4, 80))
    torch.testing.assert_close(log_mel(torch.zeros(2, 1000)), torch.full((2, 80, 3), float(np.log(1e-5))))


def slaney_triangles(made: MelSettings) -> np.ndarray:
    def hertz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))

    def mel(frequency: float) -> float:
        return frequency * 3 / 200 if frequency < 1000 else 15 + 27 * np.log(frequency / 1000) / np.log(6.4)

    top = made.sample_rate / 2 if made.fmax is None else made.fmax
    edges = hertz(np.linspace(mel(made.fmin), mel(top), made.bins + 2))
    bins = np.arange(made.n_fft // 2 + 1) * made.sample_rate / made.n_fft
    rows = []
    for left, centre, right in zip(edges, edges[1:], edges[2:], strict=False):
        rise, fall = (bins - left) / (centre - left), (right - bins) / (right - centre)
        rows.append(np.clip(np.minimum(rise, fall), 0, None) * 2 / (right - left))
    return np.array(rows)


@pytest.mark.parametrize(
    "made",
    [
        MelSettings(),
        MelSettings(sample_rate=16_000, n_fft=512, win_length=512, hop_length=128, bins=30, fmin=80, fmax=7600),
    ],
)
@pytest.mark.parametrize(("samples", "level"), [(400, 1.0), (1024, 1.0), (2303, 1.0), (2303, 3e-4)])
def test_log_mel_is_the_logarithm_of_mel_magnitudes(made: MelSettings, samples: int, level: float) -> None:
    waveform = noise(2, samples) * level
    got = log_mel(waveform, made)
    assert got.shape == (2, made.bins, samples // made.hop_length)
    mirrored = (made.n_fft - made.hop_length) // 2
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(made.n_fft) / made.n_fft)
    for clip, bands in zip(waveform.double().numpy(), got.numpy(), strict=True):
        padded = np.concatenate([clip[mirrored:0:-1], clip, clip[-2 : -mirrored - 2 : -1]])
        for frame in range(bands.shape[1]):
            piece = padded[frame * made.hop_length :][: made.n_fft]
            magnitude = np.sqrt(np.abs(np.fft.rfft(piece * window)) ** 2 + 1e-9)
            expected = np.log(np.maximum(slaney_triangles(made) @ magnitude, 1e-5))
            np.testing.assert_allclose(bands[:, frame], expected, atol=1e-4)


def test_too_short_sounds_are_refused_with_numbers() -> None:
    with pytest.raises(ValueError, match="399 samples are shorter than one frame of 400"):
        filter_bank(torch.zeros(399))
    with pytest.raises(ValueError, match="384 samples are too short: a mel spectrogram takes at least 385"):
        log_mel(torch.zeros(1, 384))
    assert filter_bank(torch.zeros(400)).shape == (1, 80)
    assert log_mel(torch.zeros(1, 385)).shape == (1, 80, 1)


def test_everything_is_computed_where_the_sound_is() -> None:
    sound = torch.zeros(1, 5000, device="meta")  # to torch a device like any other, on every machine
    for got in (resample(sound, 44_100, 16_000), filter_bank(sound), centred_filter_bank(sound), log_mel(sound)):
        assert got.device.type == "meta"


def test_tables_made_while_a_network_is_laid_out_are_real() -> None:
    sound, made = noise(1, 3000), MelSettings(bins=17)
    with torch.device("meta"):
        first = resample(sound, 700, 900), log_mel(sound, made)
    assert not any(got.is_meta for got in first)
    torch.testing.assert_close(first, (resample(sound, 700, 900), log_mel(sound, made)), rtol=0, atol=0)
