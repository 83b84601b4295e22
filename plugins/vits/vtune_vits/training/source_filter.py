"""Make the vocoder of source and filters of a base: it learns to speak as the base's own vocoder does.

Both vocoders get the same latents. What one of them makes is the recording that the other one learns from, with the
losses of a training.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from vtune.toolkit.pitch import fill_voiceless, measure_f0
from vtune_vits.network.source_filter import SourceFilterVocoder
from vtune_vits.network.spectrogram import linear_spectrogram, log_mel
from vtune_vits.training.losses import MEL_WEIGHT, PITCH_WEIGHT, energy_distance, mel_distance, pitch_distance
from vtune_vits.training.own_speech import (
    Distillation,
    Example,
    Teacher,
    in_bf16,
    load_made,
    settings_key,
    teach,
    unheard_examples,
)
from vtune_vits.training.spectral_loss import FILTERED_STFT_WEIGHT, levelled, stft_loss

if TYPE_CHECKING:
    from vtune_vits.network.settings import VitsSettings
    from vtune_vits.network.voice import VitsNetwork

logger = logging.getLogger(__name__)

VERSION = 1
"""Raised when the same settings give another vocoder."""

NAME = "vocoder"

_VOCODER_SEED = 0


def load_source_filter(network: VitsNetwork, base: Teacher, distillation: Distillation) -> None:
    """Load the vocoder of source and filters of a base into a network; make it first if the cache has none.

    :param network: its settings have a ``source_filter``.
    :param base: the base with its own vocoder, which stays as it is.
    """
    settings = network.settings

    def make() -> tuple[nn.Module, str]:
        vocoder, error = distil(base, settings, distillation)
        return vocoder, f"mel distance {error:.2f}"

    key = (VERSION, base.fingerprint, settings_key(distillation), settings.source_filter)
    load_made(network.decoder, key, NAME, make)


def distil(base: Teacher, settings: VitsSettings, distillation: Distillation) -> tuple[SourceFilterVocoder, float]:
    """Teach a new vocoder with the base's own speech; torch's own random numbers stay as they are.

    :returns: the vocoder, and its mel distance on speech that it has not learned from.
    """
    logger.info(
        "The vocoder of source and filters is made of the base's own speech, once for all voices of this base; this "
        "takes %d steps",
        distillation.steps,
    )
    device = next(base.network.parameters()).device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_VOCODER_SEED)
        vocoder = SourceFilterVocoder(settings).to(device)
    test = unheard_examples(base, distillation)

    def loss(step: int, crops: list[Example], random: np.random.Generator) -> torch.Tensor:
        mel, stft, pitch = _shares(vocoder, base.network, crops, random)
        return MEL_WEIGHT * mel + FILTERED_STFT_WEIGHT * stft + PITCH_WEIGHT * pitch

    def report(steps: int) -> None:
        mel, _, pitch = measure(vocoder, base.network, test)
        logger.info(
            "Vocoder: step %d of %d, mel distance %.2f, pitch %.1f %% off", steps, distillation.steps, mel, 100 * pitch
        )

    teach(vocoder, base, distillation, loss, report)
    return vocoder, measure(vocoder, base.network, test)[0]


@torch.no_grad()
def measure(
    vocoder: SourceFilterVocoder, network: VitsNetwork, examples: Sequence[Example]
) -> tuple[float, float, float]:
    """Return the mel, spectral and pitch distance of the vocoder from the network's own; the same each time."""
    shares = [_shares(vocoder, network, [example], np.random.default_rng(0)) for example in examples]
    mel, stft, pitch = (float(torch.stack(values).mean()) for values in zip(*shares, strict=True))
    return mel, stft, pitch


def _shares(
    vocoder: SourceFilterVocoder, network: VitsNetwork, examples: Sequence[Example], random: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the three distances of crops of equal length, as scalars."""
    settings, device = network.settings, examples[0].latents.device
    recorded = torch.stack([example.sound for example in examples])
    measured = [measure_f0(sound, settings.sample_rate, settings.hop_length) for sound in recorded.cpu().numpy()]
    f0 = torch.from_numpy(np.stack([fill_voiceless(row) for row in measured])).to(device)
    voiced = torch.from_numpy(np.stack(measured) > 0).to(device)
    speaker = network.embed(torch.tensor([example.speaker for example in examples], device=device))
    lots = torch.from_numpy(random.random(len(examples)))
    with in_bf16(device):
        draws, log_f0 = vocoder.make(torch.stack([example.latents for example in examples]), speaker, f0, lots)
    assert log_f0 is not None
    inside = torch.ones_like(voiced)
    mels = [log_mel(_spectrogram(sound, settings), settings.sample_rate) for sound in (recorded, *draws)]
    mel = energy_distance(mels[0], mels[1:], lambda one, other: mel_distance(one, other, inside).mean())
    stft = stft_loss(*levelled(recorded, draws))
    return mel, stft, pitch_distance(log_f0, f0, voiced).mean()


def _spectrogram(sound: torch.Tensor, settings: VitsSettings) -> torch.Tensor:
    return linear_spectrogram(sound, settings.fft_size, settings.hop_length)
