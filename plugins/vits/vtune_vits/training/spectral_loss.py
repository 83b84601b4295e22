"""Compare the spectra of recorded and made sound at several resolutions, on linear frequencies.

A mel band is wide at high frequencies, so the mel loss does not see whether a band holds noise or a few lines, which
sound like a buzz or a whistle. Long windows see the lines, short windows see when a sound begins.
"""

from __future__ import annotations

import torch

from vtune_vits.network.spectrogram import stft_magnitudes

FFT_SIZES = (2048, 1024, 512, 256)
"""Samples of the Hann windows; a frame begins every quarter of a window."""


def stft_loss(recorded: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    """Average the spectral differences of segments ``[B, samples]`` over the resolutions, a float32 scalar.

    At each resolution it is the mean absolute difference of log magnitudes plus the spectral convergence, the norm of
    the difference of magnitudes divided by the norm of the recorded magnitudes (Arik, Jun and Diamos, 2018, and
    Yamamoto, Song and Kim, 2020).

    :param recorded: of level ``JUDGED_RMS``; has no gradient.
    :param made: amplified in the same way.
    """
    losses = []
    for size in FFT_SIZES:
        real, fake = stft_magnitudes(recorded, size), stft_magnitudes(made, size)
        logarithmic = (real.log() - fake.log()).abs().mean()
        convergence = torch.linalg.vector_norm(real - fake) / torch.linalg.vector_norm(real)
        losses.append(logarithmic + convergence)
    return torch.stack(losses).mean()
