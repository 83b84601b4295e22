"""``s2mel.pth`` as one network, with the names that its nested dictionaries give when joined."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from vtune_indextts2.s2mel.estimator import Estimator
from vtune_indextts2.s2mel.flow import solve
from vtune_indextts2.s2mel.length_regulator import LengthRegulator
from vtune_indextts2.s2mel.settings import S2MelSettings

UNUSED_ENTRIES = (
    "cfm.estimator.cond_embedder.*",
    "cfm.estimator.content_mask_embedder.*",
    "cfm.estimator.input_pos",
    "cfm.estimator.t_embedder*.freqs",
    "cfm.estimator.x_embedder.*",
    "length_regulator.embedding.*",
    "length_regulator.mask_token",
)
"""Entries that the network does not need, at any depth: parts for other inputs, and constants."""

LATENT_DIMS = (1280, 256, 128, 1024)
LATENT_ENTRIES = ("gpt_layer.*",)
"""The projection of latents, which IndexTTS-2.5 does not have; files of it still hold the one of before."""


class _FlowModule(nn.Module):
    def __init__(self, settings: S2MelSettings) -> None:
        super().__init__()
        self.estimator = Estimator(settings)


class S2Mel(nn.Module):
    """Latents and codes to mel, frozen: nothing here tracks gradients.

    :param latent_dims: widths along the projection of the latents; empty for IndexTTS-2.5, which has none.
    """

    def __init__(self, settings: S2MelSettings, latent_dims: Sequence[int] = LATENT_DIMS) -> None:
        super().__init__()
        regulator = settings.length_regulator
        self.cfm = _FlowModule(settings)
        self.length_regulator = LengthRegulator(regulator.channels, regulator.in_channels, regulator.sampling_ratios)
        self.gpt_layer = nn.Sequential(*(nn.Linear(before, after) for before, after in pairwise(latent_dims)))

    @property
    def unused(self) -> tuple[str, ...]:
        """Patterns of entries that the network does not need: ``UNUSED_ENTRIES``, and skips that no block takes."""
        blocks = self.cfm.estimator.transformer.layers
        untaken = (index for index, block in enumerate(blocks) if block.skip_in_linear is None)
        latents = () if len(self.gpt_layer) else LATENT_ENTRIES
        return (
            *UNUSED_ENTRIES,
            *latents,
            *(f"cfm.estimator.transformer.layers.{index}.skip_in_linear.*" for index in untaken),
        )

    @torch.no_grad()
    def project(self, latent: torch.Tensor) -> torch.Tensor:
        """Map latents ``[B, N, 1280]`` to what is added to the codes' embeddings, ``[B, N, 1024]``."""
        projected: torch.Tensor = self.gpt_layer(latent)
        return projected

    @torch.no_grad()
    def condition(self, content: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Stretch content ``[B, N, 1024]`` to ``frames``, int64 ``[B]``; returns mu, ``[B, max(frames), C]``."""
        mu: torch.Tensor = self.length_regulator(content, frames)
        return mu

    def flow(
        self,
        mu: torch.Tensor,
        ref_mel: torch.Tensor,
        style: torch.Tensor,
        noise: torch.Tensor,
        steps: int,
        guidance: float,
    ) -> torch.Tensor:
        """Continue a reference; see ``solve``."""
        return solve(self.cfm.estimator, mu, ref_mel, style, noise, steps, guidance)
