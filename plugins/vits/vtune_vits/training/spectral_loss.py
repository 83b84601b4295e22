"""Compare the spectra of recorded and made sound at several resolutions, on linear frequencies.

A mel band is wide at high frequencies, so the mel loss does not see whether a band holds noise or a few lines, which
sound like a buzz or a whistle. Long windows see the lines, short windows see when a sound begins.
"""

from __future__ import annotations

import torch

from vtune_vits.network.spectrogram import stft_magnitudes
from vtune_vits.training.losses import energy_distance

FFT_SIZES = (2048, 1024, 512, 256)
"""Samples of the Hann windows; a frame begins every quarter of a window."""

STFT_WEIGHT = 5.0
"""Weight of the spectral differences for the base's own vocoder."""

FILTERED_STFT_WEIGHT = 22.5
"""Weight for a vocoder of source and filters: these differences alone tell it what is noise and what harmonics are."""

LEVEL_RMS = 0.2
"""Recorded sound is amplified to this level before it is compared and judged; quiet recordings would teach slowly."""

_MIN_RMS = 1e-3


def stft_loss(recorded: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    """Average the spectral differences of segments over the resolutions, a float32 scalar.

    At each resolution the difference of two sounds is the mean absolute difference of log magnitudes plus the norm of
    the difference of magnitudes divided by the norm of the recorded magnitudes (spectral convergence: Arik, Jun and
    Diamos, 2018, and Yamamoto, Song and Kim, 2020). Sounds that are made several times have an `energy_distance`.

    :param recorded: ``[B, samples]``, of level ``LEVEL_RMS``; has no gradient.
    :param made: ``[K, B, samples]``, amplified in the same way.
    """
    losses = []
    for size in FFT_SIZES:
        real, *fakes = (stft_magnitudes(sound, size) for sound in (recorded, *made))
        norm = torch.linalg.vector_norm(real)

        def difference(one: torch.Tensor, other: torch.Tensor, norm: torch.Tensor = norm) -> torch.Tensor:
            convergence: torch.Tensor = torch.linalg.vector_norm(one - other) / norm
            return convergence + (one.log() - other.log()).abs().mean()

        losses.append(energy_distance(real, fakes, difference))
    return torch.stack(losses).mean()


def levelled(recorded: torch.Tensor, made: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Amplify recorded segments ``[B, samples]`` to the same level, and made ones ``[K, B, samples]`` by the same."""
    rms = recorded.square().mean(1, keepdim=True).sqrt()
    gains = LEVEL_RMS / rms.clamp(min=_MIN_RMS)  # [B, 1]
    return gains * recorded, gains * made
