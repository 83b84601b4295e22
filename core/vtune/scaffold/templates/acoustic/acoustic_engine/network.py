"""A network that computes a whole spectrogram at once: durations from characters, and mels by flow matching.

Flow matching goes from noise to a spectrogram on a straight line, ``(1 - t) * noise + t * mel``. The network sees such
a mixture and learns which spectrogram lies at the end of the line. To speak, it starts from noise, and goes step by
step towards the spectrogram that it expects.
"""

from __future__ import annotations

import torch
import vtune
from torch import nn

from acoustic_engine.spectrogram import MEL_COUNT
from acoustic_engine.text import ALPHABET

KERNEL = 5
TIME_FREQUENCIES = 8
DURATION_WEIGHT = 0.1
"""Weight of the squared error of log durations beside that of spectrograms."""


class ConvolutionBlock(nn.Module):
    """Adds to each frame what it learns from the frames around it, ``[B x T x W]``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.around = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2)
        self.mix = nn.Linear(width, width)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        # Padding is set to 0 before each convolution, so that a clip does not see how long its neighbours are.
        inner = (self.norm(hidden) * mask).transpose(1, 2)
        update: torch.Tensor = self.mix(nn.functional.silu(self.around(inner)).transpose(1, 2))
        return hidden + update


class AcousticNetwork(nn.Module):
    """Predicts the duration of each character, and the mel spectrogram that is behind a noisy one."""

    accepts_loss_kwargs = True  # forward takes num_items_in_batch

    def __init__(self, width: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(len(ALPHABET), width)
        self.reader = nn.ModuleList(ConvolutionBlock(width) for _ in range(2))
        self.duration = nn.Linear(width, 1)
        self.mel = nn.Linear(MEL_COUNT, width)
        self.time = nn.Linear(2 * TIME_FREQUENCIES + 1, width)
        self.writer = nn.ModuleList(ConvolutionBlock(width) for _ in range(3))
        self.estimate = nn.Linear(width, MEL_COUNT)

    def forward(
        self,
        characters: torch.Tensor,  # [B x L]
        durations: torch.Tensor,  # [B x L] frames; 0 is padding
        mel: torch.Tensor,  # [B x T x 64]
        items: torch.Tensor,  # [B] frames of each clip
        lot: torch.Tensor,  # [B]
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> dict[str, torch.Tensor]:
        hidden, log_durations = self.read(characters, durations.gt(0))  # [B x L x W], [B x L]
        position = positions_of(durations, mel.shape[1])  # [B x T]
        mask = torch.arange(mel.shape[1], device=mel.device) < items[:, None]  # [B x T]
        noise = vtune.toolkit.normal(lot, *mel.shape[1:])
        time = vtune.toolkit.uniform(lot, 1, 1, stream=1)
        mixture = (1 - time) * noise + time * mel
        estimate = self.write(mixture, time, gather(hidden, position), mask)
        errors = (estimate.float() - mel).square().mean(-1)  # [B x T]
        duration_errors = (log_durations.float() - durations.clamp(min=1).log()).square()  # [B x L]
        # Each frame counts the error of its character, so that both losses are means over frames.
        errors = errors + DURATION_WEIGHT * duration_errors.gather(1, position)
        count = items.sum() if num_items_in_batch is None else num_items_in_batch
        return {"loss": (errors * mask).sum() / count}

    def read(self, characters: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what each character means at its place ``[B x L x W]``, and its log duration in frames ``[B x L]``."""
        hidden = self.characters(characters)
        for block in self.reader:
            hidden = block(hidden, mask[..., None])
        return hidden, self.duration(hidden)[..., 0]

    def write(
        self, mixture: torch.Tensor, time: torch.Tensor, hidden: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the spectrogram that the network expects behind a mixture, ``[B x T x 64]``.

        :param mixture: of noise and spectrogram, ``[B x T x 64]``, at the time ``[B x 1 x 1]`` from 0 to 1.
        :param hidden: of the character of each frame, ``[B x T x W]``.
        """
        angles = time * torch.pi * 2 ** torch.arange(TIME_FREQUENCIES, device=time.device)
        times = torch.cat([time, angles.sin(), angles.cos()], dim=-1)  # [B x 1 x 17]
        hidden = hidden + self.mel(mixture.to(hidden.dtype)) + self.time(times.to(hidden.dtype))
        for block in self.writer:
            hidden = block(hidden, mask[..., None])
        estimate: torch.Tensor = self.estimate(hidden)
        return estimate


def positions_of(durations: torch.Tensor, frame_count: int) -> torch.Tensor:
    """Return the index of the character that each frame belongs to, ``[B x T]``.

    ``positions_of(torch.tensor([[2, 1, 3]]), 6)`` is ``[[0, 0, 1, 2, 2, 2]]``.
    """
    ends = durations.cumsum(1).contiguous()
    frames = torch.arange(frame_count, device=durations.device).expand(len(durations), -1).contiguous()
    return torch.searchsorted(ends, frames, right=True).clamp(max=durations.shape[1] - 1)


def gather(hidden: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Return ``hidden[b, position[b, t]]``, ``[B x T x W]``."""
    return hidden.gather(1, position[..., None].expand(-1, -1, hidden.shape[-1]))
