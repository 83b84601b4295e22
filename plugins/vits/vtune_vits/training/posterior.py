"""Make the posterior encoder that a published voice lacks, by self-distillation: it learns from the voice's own speech.

A voice that is published as ONNX holds only what speaking needs. Training needs the posterior encoder too, which tells
the latents of a recording. A new encoder first learns the known latents of the voice's own speech, then the loss that
VITS itself has, with everything else of the voice frozen.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from vtune_vits.network.spectrogram import linear_spectrogram, log_mel
from vtune_vits.training.losses import MEL_WEIGHT, divergence
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

if TYPE_CHECKING:
    from vtune_vits.network.voice import VitsNetwork

logger = logging.getLogger(__name__)

VERSION = 1
"""Raised when the same settings give another encoder."""

NAME = "posterior_encoder"

SEGMENT_FRAMES = 32
"""Frames that are made again in a step, as in a training."""

_LATENTS_SHARE = 0.3
"""Share of the steps that only learn the known latents, which are cheap and bring the encoder near."""


@dataclass(frozen=True, slots=True)
class DistillationError:
    """How well an encoder serves speech that it has not learned from.

    :param divergence: of the posterior from the prior of the known phonemes, in nats a frame.
    :param mel: mean absolute difference of log mels between the speech and what the vocoder makes of the latents.
    """

    divergence: float
    mel: float

    def __str__(self) -> str:
        return f"{self.divergence:.1f} nats a frame from the prior, mel distance {self.mel:.2f}"


def load_distilled(network: VitsNetwork, base: Teacher, distillation: Distillation) -> None:
    """Load the posterior encoder of a base into a network; make it first if the cache has none.

    :param base: its posterior encoder is changed if one is made.
    """

    def make() -> tuple[nn.Module, str]:
        error = distil(base, distillation)
        return base.network.posterior_encoder, str(error)

    key = (VERSION, base.fingerprint, settings_key(distillation), network.settings.posterior_layers)
    load_made(network.posterior_encoder, key, NAME, make)


def distil(base: Teacher, distillation: Distillation) -> DistillationError:
    """Teach the base's posterior encoder with the base's own speech; everything else of it stays as it is.

    The same settings give the same encoder on the same machine; torch's own random numbers stay as they are.

    :returns: the error on speech that was not learned from.
    """
    network = base.network
    logger.info("The base has no posterior encoder; one is made of its own speech, once for all voices of this base")
    test = unheard_examples(base, distillation)

    def loss(step: int, crops: list[Example], random: np.random.Generator) -> torch.Tensor:
        if step < _LATENTS_SHARE * distillation.steps:
            return latents_loss(network, crops)
        first = int(random.integers(max(1, distillation.frames - SEGMENT_FRAMES + 1)))
        return vits_loss(network, crops, random, first)

    def report(steps: int) -> None:
        logger.info("Posterior encoder: step %d of %d, %s", steps, distillation.steps, measure(network, test))

    teach(network.posterior_encoder, base, distillation, loss, report)
    return measure(network, test)


def latents_loss(network: VitsNetwork, examples: Sequence[Example]) -> torch.Tensor:
    """Return the mean negative log-likelihood of the known latents, up to a constant, in nats a number."""
    latents = torch.stack([example.latents for example in examples])
    means, log_scales, _, _ = _encode(network, examples)
    return (log_scales + 0.5 * ((latents - means) * torch.exp(-log_scales)).square()).mean()


def vits_loss(
    network: VitsNetwork, examples: Sequence[Example], random: np.random.Generator, first: int
) -> torch.Tensor:
    """Return the divergence from the known prior in nats a frame plus 45 times the mel distance of a segment.

    :param first: the frame where the segment begins.
    """
    kl, mel = _shares(network, examples, random, first)
    return kl + MEL_WEIGHT * mel


@torch.no_grad()
def measure(network: VitsNetwork, examples: Sequence[Example]) -> DistillationError:
    """Measure the posterior encoder on examples; the same each time."""
    shares = [_shares(network, [example], np.random.default_rng(0), 0) for example in examples]
    kl, mel = (float(torch.stack(values).mean()) for values in zip(*shares, strict=True))
    return DistillationError(kl, mel)


def _shares(
    network: VitsNetwork, examples: Sequence[Example], random: np.random.Generator, first: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the divergence in nats a frame and the mel distance of the segment, as scalars."""
    settings = network.settings
    means, log_scales, mask, speaker = _encode(network, examples)
    noise = random.standard_normal(means.transpose(1, 2).shape, dtype=np.float32)
    latents = means + torch.from_numpy(noise).to(means.device).transpose(1, 2) * log_scales.exp()
    prior = torch.stack([example.prior for example in examples], 1)  # [2, B, C, T]
    with in_bf16(means.device):
        in_prior = network.to_prior(latents, mask, speaker)
        made = network.decode(latents[..., first : first + SEGMENT_FRAMES], speaker).float()
    kl = divergence(in_prior, log_scales, (prior[0], prior[1]), mask).sum() / mask.sum()
    magnitudes = torch.stack([example.magnitudes for example in examples])[..., first : first + SEGMENT_FRAMES]
    made = linear_spectrogram(made, settings.fft_size, settings.hop_length)
    distances = log_mel(made, settings.sample_rate) - log_mel(magnitudes, settings.sample_rate)
    return kl, distances.abs().mean()


def _encode(
    network: VitsNetwork, examples: Sequence[Example]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Encode examples of equal length.

    :returns: means and log standard deviations float32 ``[B, C, T]``, a mask ``[B, T]``, and the speakers' embeddings.
    """
    magnitudes = torch.stack([example.magnitudes for example in examples])
    mask = torch.ones(len(magnitudes), magnitudes.shape[2], dtype=torch.bool, device=magnitudes.device)
    speaker = network.embed(torch.tensor([example.speaker for example in examples], device=magnitudes.device))
    with in_bf16(magnitudes.device):
        means, log_scales = network.posterior(magnitudes, mask, speaker)
    return means.float(), log_scales.float(), mask, speaker
