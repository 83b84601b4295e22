"""The losses of VITS (Kim, Kong and Son, 2021) as sums for each clip, so that padding and neighbours change nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vtune_vits.network.discriminators import Judgement

MEL_WEIGHT = 45.0
"""Weight of the mean absolute difference of log mels, from VITS."""
FEATURE_WEIGHT = 2.0
"""Weight of the mean absolute differences of the discriminators' features, from HiFi-GAN."""


def divergence(
    latents: torch.Tensor, posterior_log_scales: torch.Tensor, prior: tuple[torch.Tensor, torch.Tensor],
    mask: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """Sum the Kullback-Leibler divergence of the posterior from the prior over frames and channels, float32 ``[B]``.

    It is estimated from one draw: the posterior's entropy is known, the prior's density is taken where the draw lies.

    :param latents: a draw from the posterior, after the flow, ``[B, C, T]``.
    :param posterior_log_scales: logarithms of the posterior's standard deviations before the flow, ``[B, C, T]``; the
        flow keeps volumes, so they count behind it too.
    :param prior: means and logarithms of standard deviations of each frame's phoneme, ``[B, C, T]`` each.
    :param mask: True for the frames of a clip, ``[B, T]``.
    """
    means, log_scales = (tensor.float() for tensor in prior)
    squares = (latents.float() - means).square() * torch.exp(-2 * log_scales)
    each = log_scales - posterior_log_scales.float() - 0.5 + 0.5 * squares
    return (each * mask[:, None]).sum((1, 2))


def mel_distance(recorded: torch.Tensor, made: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Average the absolute difference of log mels ``[B, bands, T]`` over bands and frames of a clip, float32 ``[B]``.

    :param mask: True for frames inside the clip, ``[B, T]``; at least one of each clip.
    """
    by_frame = (recorded.float() - made.float()).abs().mean(1)  # [B, T]
    return (by_frame * mask).sum(1) / mask.sum(1)


def discriminator_loss(recorded: Judgement, made: Judgement) -> torch.Tensor:
    """Add up the squared errors of the discriminators, which should say 1 to recorded and 0 to made sound."""
    errors = [(1 - score.float()).square().mean() for score in recorded.scores]
    errors += [score.float().square().mean() for score in made.scores]
    return torch.stack(errors).sum()


def adversarial_loss(made: Judgement) -> torch.Tensor:
    """Add up the squared distances of the discriminators' scores of made sound from 1."""
    return torch.stack([(1 - score.float()).square().mean() for score in made.scores]).sum()


def feature_loss(recorded: Judgement, made: Judgement) -> torch.Tensor:
    """Add up the mean absolute differences of the features of recorded and made sound, times 2.

    No gradient reaches the recorded sound's features.
    """
    differences = [
        (one.detach().float() - other.float()).abs().mean()
        for one, other in zip(_flat(recorded.features), _flat(made.features), strict=True)
    ]
    return FEATURE_WEIGHT * torch.stack(differences).sum()


def _flat(features: Sequence[Sequence[torch.Tensor]]) -> list[torch.Tensor]:
    return [tensor for layers in features for tensor in layers]
