"""The discriminators of spectrograms: what they read, layer by layer, against a computation of their own."""

from __future__ import annotations

import numpy as np
import torch

from vtune_vits.network.spectrogram_discriminators import SpectrogramDiscriminator, SpectrogramDiscriminators


def segments(seed: int, samples: int = 2304) -> torch.Tensor:
    return 0.2 * torch.randn(2, samples, generator=torch.Generator().manual_seed(seed))


def convolution(planes: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    """Return a plain convolution of ``[C, H, W]`` with zeros around it; strides count along H only."""
    height, width = weight.shape[2:]
    padded = np.pad(planes, ((0, 0), (height // 2,) * 2, (width // 2,) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (1, 2))[:, ::stride]
    return np.einsum("chwij,ocij->ohw", windows, weight) + bias[:, None, None]


def test_scores_are_those_of_plain_convolutions() -> None:
    torch.manual_seed(0)
    judge = SpectrogramDiscriminator(512)
    sound = segments(1)

    outputs = [output.detach().numpy() for output in judge(sound)]

    frames = np.lib.stride_tricks.sliding_window_view(sound[1].double().numpy(), 512)[::128]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    hidden = np.sqrt(np.abs(np.fft.rfft(frames * window)) ** 2 + 1e-6).T[None]
    hidden = (np.log(hidden) + 1) / 3
    for index, (layer, stride) in enumerate(zip([*judge.convs, judge.conv_post], (1, 2, 2, 2, 1, 1), strict=True)):
        weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
        hidden = convolution(hidden, weight, bias, stride)
        if index < len(judge.convs):
            hidden = np.maximum(hidden, 0.1 * hidden)
        np.testing.assert_allclose(outputs[index][1], hidden, rtol=1e-3, atol=1e-3)


def test_a_judgement_has_scores_and_features_of_each_resolution() -> None:
    judgement = SpectrogramDiscriminators()(segments(2))

    assert [score.shape[0] for score in judgement.scores] == [2, 2, 2]
    assert [len(features) for features in judgement.features] == [6, 6, 6]


def test_they_learn_to_hear_a_buzz() -> None:
    """Sixty steps are enough to tell noise from noise with a buzz that they have not heard before."""
    torch.manual_seed(0)
    judge = SpectrogramDiscriminator(512)
    optimizer = torch.optim.AdamW(judge.parameters(), 3e-3)
    buzz = 0.06 * torch.sin(2 * torch.pi * 689 / 22_050 * torch.arange(2304) * torch.arange(1, 12)[:, None]).sum(0)

    for step in range(60):
        real, fake = judge(segments(step))[-1], judge(segments(1000 + step) + buzz)[-1]
        loss = (1 - real).square().mean() + fake.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    with torch.no_grad():
        real, fake = judge(segments(5000))[-1].mean(), judge(segments(6000) + buzz)[-1].mean()
    assert float(real) > float(fake) + 0.3
