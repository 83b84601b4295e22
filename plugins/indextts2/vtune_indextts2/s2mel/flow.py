"""From noise to mel along the flow: Euler steps (Lipman et al., 2023, arXiv:2210.02747), with classifier-free guidance
(Ho and Salimans, 2022, arXiv:2207.12598).
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F

from vtune_indextts2.s2mel.estimator import Estimator


@torch.no_grad()
def solve(
    estimator: Estimator,
    mu: torch.Tensor,
    ref_mel: torch.Tensor,
    style: torch.Tensor,
    noise: torch.Tensor,
    steps: int,
    guidance: float,
) -> torch.Tensor:
    """Compute the mel spectrogram that continues a reference, by Euler steps of the flow from noise.

    :param mu: ``[B, T, C]``, the content of reference and target together.
    :param ref_mel: ``[B, bins, P]``, the reference's mel, for the first P of the T frames.
    :param style: ``[B, S]``.
    :param noise: ``[B, bins, T]``, standard normal.
    :param steps: of equal length from time 0 to 1; one evaluation each.
    :param guidance: how far to go beyond the velocity with conditions, away from that without; 0: not at all.
    :returns: log-mel ``[B, bins, T]``, zero in the first P frames.
    """
    prompt_frames = ref_mel.shape[-1]
    prompt = F.pad(ref_mel, (0, noise.shape[-1] - prompt_frames))
    conditions = [prompt, style, mu]
    if guidance:
        conditions = [torch.cat([full, torch.zeros_like(full)]) for full in conditions]
    context = estimator.context(*conditions)
    x = noise[..., prompt_frames:]
    for now, after in pairwise(torch.linspace(0, 1, steps + 1).to(x)):
        state = F.pad(x, (prompt_frames, 0))
        if guidance:
            state = torch.cat([state, state])
        velocity = estimator.velocity(state, now.expand(len(state)), context, first=prompt_frames)
        if guidance:
            full, empty = velocity.chunk(2)
            velocity = (1 + guidance) * full - guidance * empty
        x = x + (after - now) * velocity
    return F.pad(x, (prompt_frames, 0))
