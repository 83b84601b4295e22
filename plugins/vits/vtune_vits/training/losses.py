"""The losses of VITS (Kim, Kong and Son, 2021) as sums for each clip, so that padding and neighbours change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import torch

from vtune_vits.network.discriminators import Judgement

Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

MEL_WEIGHT = 45.0
"""Weight of the mean absolute difference of log mels, from VITS."""
FEATURE_WEIGHT = 2.0
"""Weight of the mean absolute differences of the discriminators' features, from HiFi-GAN."""
PITCH_WEIGHT = 20.0
"""Weight of the mean absolute difference of log pitch: a semitone weighs as much as a mel distance of 0.026."""


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


def energy_distance(recorded: torch.Tensor, draws: Sequence[torch.Tensor], distance: Distance) -> torch.Tensor:
    """Average the distances of K made sounds from a recorded one, less half the average distance between made ones.

    With one made sound this is its distance. But the best sound of a fixed distance from noise is no noise: a hum in
    the middle of all noises is nearer to each than they are to each other. So what is made with noise is made twice,
    and the distance between both is taken off (Gritsenko et al. 2020, arXiv 2008.01160). The expectation is then least
    if made sounds vary as recorded ones do.

    :param recorded: features of the recorded sound, in any shape.
    :param draws: the same features of each made sound.
    """
    from_recorded = torch.stack([distance(recorded, draw) for draw in draws]).mean(0)
    if len(draws) == 1:
        return from_recorded
    between = torch.stack([distance(one, other) for one, other in combinations(draws, 2)]).mean(0)
    return from_recorded - between / 2


def pitch_distance(log_f0: torch.Tensor, measured: torch.Tensor, voiced: torch.Tensor) -> torch.Tensor:
    """Average the absolute difference of the logarithms of two pitches over voiced frames, float32 ``[B]``.

    :param log_f0: what the vocoder reads from the latents, ``[B, T]``.
    :param measured: Hz, ``[B, T]``, positive where voiced.
    :param voiced: bool ``[B, T]``.
    """
    differences = (log_f0.float() - measured.clamp(min=1.0).log()).abs() * voiced
    return differences.sum(1) / voiced.sum(1).clamp(min=1)


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
