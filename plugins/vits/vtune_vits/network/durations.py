"""Duration predictors: how many frames each phoneme lasts, with every draw of noise given from outside.

The stochastic predictor is a variational flow (arXiv 2106.06103, section 2.2.2 and appendix A.1): integer durations are
made continuous by a second flow, and a flow of splines turns the result into normal noise. Parameters are those of
``transformers.models.vits``, whose own ``forward`` draws noise itself and, in the direction that training needs,
exchanges the two channels once more than the networks were trained with.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from transformers.models.vits import modeling_vits

from vtune_vits.network.splines import spline

MIN_DURATION = 1e-5
"""Least continuous duration in frames before its logarithm is taken."""

DURATION_OFFSET = 1e-6
"""Added to durations in frames before their logarithm, in the loss of the predictor that is not stochastic."""


class StochasticDurationPredictor(modeling_vits.VitsStochasticDurationPredictor):  # type: ignore[misc]
    """Draws log durations by a flow, and computes the negative log-likelihood of durations.

    Its input is detached: durations do not teach the text encoder, nor the embedding of the speaker.
    """

    def forward(
        self, hidden: torch.Tensor, mask: torch.Tensor, speaker: torch.Tensor | None, noise: torch.Tensor
    ) -> torch.Tensor:
        """Return log durations in frames, ``[B x 1 x L]``.

        :param hidden: of the text encoder, ``[B x H x L]``.
        :param mask: 1 for phonemes and 0 for padding, ``[B x 1 x L]``, in the type of hidden.
        :param noise: normal noise, already scaled, ``[B x 2 x L]``.
        """
        condition = self._condition(hidden, mask, speaker)
        latents = noise
        # The flow behind the affine one changes only the channel that is not used.
        for flow in [*reversed(self.flows[2:]), self.flows[0]]:
            latents = latents.flip(1)
            latents, _ = _apply(flow, latents, mask, condition, inverse=True)
        return latents[:, :1]

    def loss(
        self,
        hidden: torch.Tensor,
        mask: torch.Tensor,
        durations: torch.Tensor,
        speaker: torch.Tensor | None,
        noise: torch.Tensor,
    ) -> torch.Tensor:
        """Return the upper bound of the negative log-likelihood of durations, summed over phonemes, ``[B]``.

        :param durations: in frames, ``[B x 1 x L]``, 0 for padding.
        :param noise: standard normal noise, ``[B x 2 x L]``.
        """
        condition = self._condition(hidden, mask, speaker)
        encoded = self.post_conv_proj(self.post_conv_dds(self.post_conv_pre(durations), mask)) * mask
        noise = noise * mask
        posterior, log_determinant = _apply_all(self.post_flows, noise, mask, condition + encoded)
        parts, auxiliary = posterior.chunk(2, dim=1)
        log_sigmoids = nn.functional.logsigmoid(parts) + nn.functional.logsigmoid(-parts)
        log_determinant = log_determinant + (log_sigmoids * mask).sum((1, 2))
        log_posterior = -(_normal_energy(noise) * mask).sum((1, 2)) - log_determinant
        log_durations = (durations - parts.sigmoid()).clamp_min(MIN_DURATION).log() * mask
        latents, log_determinant = _apply_all(self.flows, torch.cat([log_durations, auxiliary], 1), mask, condition)
        log_determinant = log_determinant - log_durations.sum((1, 2))
        loss: torch.Tensor = (_normal_energy(latents) * mask).sum((1, 2)) - log_determinant + log_posterior
        return loss

    def _condition(self, hidden: torch.Tensor, mask: torch.Tensor, speaker: torch.Tensor | None) -> torch.Tensor:
        condition: torch.Tensor = self.conv_pre(hidden.detach())
        if speaker is not None:
            condition = condition + self.cond(speaker.detach())
        condition = self.conv_proj(self.conv_dds(condition, mask)) * mask
        return condition


class DurationPredictor(modeling_vits.VitsDurationPredictor):  # type: ignore[misc]
    """Predicts one log duration for each phoneme; its input is detached, as in the stochastic predictor."""

    def forward(
        self,
        hidden: torch.Tensor,
        mask: torch.Tensor,
        speaker: torch.Tensor | None,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return log durations in frames, ``[B x 1 x L]``; parameters as in `StochasticDurationPredictor`."""
        log_durations: torch.Tensor = super().forward(hidden, mask, speaker)
        return log_durations

    def loss(
        self,
        hidden: torch.Tensor,
        mask: torch.Tensor,
        durations: torch.Tensor,
        speaker: torch.Tensor | None,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the squared error of log durations, summed over phonemes, ``[B]``."""
        errors = self(hidden, mask, speaker) - (durations + DURATION_OFFSET).log()
        loss: torch.Tensor = (errors.square() * mask).sum((1, 2))
        return loss


def start_as_near_identity(predictor: StochasticDurationPredictor) -> None:
    """Set the last convolution of each spline flow to 0, so that a new flow changes values hardly at all."""
    for flow in [*predictor.flows, *predictor.post_flows]:
        if isinstance(flow, modeling_vits.VitsConvFlow):
            nn.init.zeros_(flow.conv_proj.weight)
            nn.init.zeros_(flow.conv_proj.bias)


def _apply_all(
    flows: nn.ModuleList, latents: torch.Tensor, mask: torch.Tensor, condition: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return latents ``[B x 2 x L]`` after all flows, and the logarithm of the determinant, ``[B]``.

    The two channels are exchanged after each flow of splines, and not after the affine flow at the beginning.
    """
    latents, total = _apply(flows[0], latents, mask, condition, inverse=False)
    for flow in flows[1:]:
        latents, log_determinant = _apply(flow, latents, mask, condition, inverse=False)
        latents, total = latents.flip(1), total + log_determinant
    return latents, total


def _apply(
    flow: Any, latents: torch.Tensor, mask: torch.Tensor, condition: torch.Tensor, *, inverse: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return latents ``[B x 2 x L]`` after one flow, and the logarithm of its determinant, ``[B]``."""
    if isinstance(flow, modeling_vits.VitsElementwiseAffine):
        log_determinant = (flow.log_scale * mask).sum((1, 2))
        if inverse:
            return (latents - flow.translate) * torch.exp(-flow.log_scale) * mask, -log_determinant
        return (flow.translate + flow.log_scale.exp() * latents) * mask, log_determinant
    kept, changed = latents.chunk(2, dim=1)
    parameters = flow.conv_proj(flow.conv_dds(flow.conv_pre(kept), mask, condition)) * mask  # [B x 3 * bins - 1 x L]
    parameters = parameters.transpose(1, 2)[:, None]  # [B x 1 x L x 3 * bins - 1]
    shapes, slopes = parameters[..., : 2 * flow.num_bins], parameters[..., 2 * flow.num_bins :]
    parameters = torch.cat([shapes / math.sqrt(flow.filter_channels), slopes], -1)
    changed, log_derivative = spline(changed, parameters, flow.num_bins, flow.tail_bound, inverse=inverse)
    return torch.cat([kept, changed], 1) * mask, (log_derivative * mask).sum((1, 2))


def _normal_energy(values: torch.Tensor) -> torch.Tensor:
    """Return the negative log-density of each value under a standard normal distribution."""
    return 0.5 * (math.log(2 * math.pi) + values.square())
