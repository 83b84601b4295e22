"""The flow's velocity: a diffusion transformer over mel frames, refined by a WaveNet block."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from vtune_indextts2.s2mel.settings import S2MelSettings
from vtune_indextts2.s2mel.timestep import TimestepEmbedder
from vtune_indextts2.s2mel.transformer import DiffusionTransformer
from vtune_indextts2.s2mel.wavenet import WaveNet

FINAL_NORM_EPSILON = 1e-6


class FinalLayer(nn.Module):
    """A layer norm whose shift and scale come from the time embedding, and a linear map."""

    def __init__(self, width: int, time_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(time_width, 2 * width))

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Map ``x [B, T, C]`` to the same shape, by ``time [B, time_width]``."""
        shift, scale = self.adaLN_modulation(time)[:, None].chunk(2, dim=-1)
        normed = F.layer_norm(x, x.shape[-1:], eps=FINAL_NORM_EPSILON)
        mapped: torch.Tensor = self.linear(torch.addcmul(shift, 1 + scale, normed))
        return mapped


class Estimator(nn.Module):
    """Velocity of the flow at a state and a time.

    What does not change along the flow, the prompt, the style and mu, enters through ``context`` once; ``velocity``
    takes it at each step.
    """

    def __init__(self, settings: S2MelSettings) -> None:
        super().__init__()
        dit, wavenet = settings.dit, settings.wavenet
        bins, width = dit.in_channels, dit.hidden_dim
        self._bins = bins
        self.cond_projection = nn.Linear(dit.content_dim, width)
        self.cond_x_merge_linear = nn.Linear(2 * bins + width + settings.style_encoder.dim, width)
        self.t_embedder = TimestepEmbedder(width)
        self.transformer = DiffusionTransformer(width, dit.num_heads, dit.depth)
        self.skip_linear = nn.Linear(width + bins, width)
        self.conv1 = nn.Linear(width, wavenet.hidden_dim)
        self.t_embedder2 = TimestepEmbedder(wavenet.hidden_dim)
        self.wavenet = WaveNet(wavenet.hidden_dim, wavenet.kernel_size, wavenet.dilation_rate, wavenet.num_layers)
        self.res_projection = nn.Linear(width, wavenet.hidden_dim)
        self.final_layer = FinalLayer(wavenet.hidden_dim, width)
        self.conv2 = nn.Conv1d(wavenet.hidden_dim, bins, 1)

    def forward(
        self,
        x: torch.Tensor,
        prompt: torch.Tensor,
        lengths: torch.Tensor,
        t: torch.Tensor,
        style: torch.Tensor,
        mu: torch.Tensor,
    ) -> torch.Tensor:
        """Return the velocity ``[B, bins, T]``.

        :param x: ``[B, bins, T]``, the state.
        :param prompt: ``[B, bins, T]``, the mel to continue, zero behind it.
        :param lengths: int64 ``[B]``, frames of each clip.
        :param t: ``[B]``, from 0 to 1.
        :param style: ``[B, S]``.
        :param mu: ``[B, T, C]``, the content.
        """
        frames = x.shape[-1]
        is_full = bool((lengths == frames).all())
        mask = None if is_full else torch.arange(frames, device=x.device) < lengths[:, None]
        return self.velocity(x, t, self.context(prompt, style, mu), mask)

    def context(self, prompt: torch.Tensor, style: torch.Tensor, mu: torch.Tensor) -> torch.Tensor:
        """Return the part of the merged input that does not depend on state or time, ``[B, T, width]``."""
        frames = mu.shape[1]
        parts = [prompt.transpose(1, 2), self.cond_projection(mu), style[:, None].expand(-1, frames, -1)]
        merge_layer = self.cond_x_merge_linear
        return F.linear(torch.cat(parts, dim=-1), merge_layer.weight[:, self._bins :], merge_layer.bias)

    def velocity(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        context: torch.Tensor,
        mask: torch.Tensor | None = None,
        first: int = 0,
    ) -> torch.Tensor:
        """Return the velocity of the state ``x [B, bins, T]`` at the times ``t [B]``, ``[B, bins, T - first]``.

        :param mask: bool ``[B, T]``, the frames that are there; None: all.
        :param first: the first frame whose velocity is wanted; those before it are only attended to.
        """
        state = x.transpose(1, 2)
        time = self.t_embedder(t)
        merged = F.linear(state, self.cond_x_merge_linear.weight[:, : self._bins]) + context
        h = self.transformer(merged, time, mask)
        start = max(0, first - self.wavenet.reach)
        h, state, mask = h[:, start:], state[:, start:], None if mask is None else mask[:, start:]
        h = self.skip_linear(torch.cat([h, state], dim=-1))
        waves = self.wavenet(self.conv1(h).transpose(1, 2), self.t_embedder2(t), mask)
        h = waves.transpose(1, 2) + self.res_projection(h)
        h = self.final_layer(h[:, first - start :], time)
        velocity: torch.Tensor = self.conv2(h.transpose(1, 2))
        return velocity
