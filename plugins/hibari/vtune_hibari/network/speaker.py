"""What tells one person from another in a spectrum: the length of the vocal tract, and the colour of the voice.

A longer vocal tract has all its formants lower by the same factor, so the levels of a spectrum are read further up. The
colour is one gain for each band, the same in every frame. Both are 0 in a base, and are folded into the decoder's last
layer when a voice is written for other software (`folded_weights`).
"""

from __future__ import annotations

import torch
from torch import nn

from vtune_hibari.network.settings import BINS

TRACT_UNIT = 0.05
"""Logarithm of the tract's relative length for a weight of 1: small, so that a step of an optimizer is a small one."""

SPEAKER = "decoder.speaker."
"""Beginning of the names of these weights in the network."""

_HEAD = "decoder.head."
_LEVELS = (0, 2, 3)
"""Places of the levels among the spectral parts; the others are phases."""


class Speaker(nn.Module):
    """The tract and the colour, as linear layers without input, so that adapters can learn them."""

    def __init__(self) -> None:
        super().__init__()
        self.tract = nn.Linear(1, 1, bias=False)
        self.colour = nn.Linear(1, BINS, bias=False)
        nn.init.zeros_(self.tract.weight)
        nn.init.zeros_(self.colour.weight)

    def forward(self, levels: torch.Tensor) -> torch.Tensor:
        """Return the levels of this speaker.

        :param levels: logarithms of levels, ``[... x 601]``.
        """
        constant = torch.ones(1, device=levels.device, dtype=levels.dtype)
        changed: torch.Tensor = stretch(levels, self.tract(constant)) + self.colour(constant)
        return changed


def stretch(levels: torch.Tensor, tract: torch.Tensor) -> torch.Tensor:
    """Read the levels of each band from a place that is further up by the factor ``exp(0.05 tract)``.

    Between two bands, levels are interpolated linearly, so gradients flow to the tract; above 12 kHz, the last one is
    taken.

    :param levels: ``[... x 601]``.
    :param tract: ``[1]``; 0 changes nothing.
    """
    places = torch.arange(BINS, device=levels.device) * (TRACT_UNIT * tract.float()).exp()
    places = places.clamp(max=BINS - 1)
    lower = places.detach().floor().long().clamp(max=BINS - 2)
    share = (places - lower).to(levels.dtype)
    return levels.index_select(-1, lower).lerp(levels.index_select(-1, lower + 1), share)


@torch.no_grad()
def folded_weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights of a network that sounds the same and has no speaker: a copy, float32, on the CPU."""
    weights = {name: tensor.detach().float().cpu().clone() for name, tensor in network.state_dict().items()}
    tract = weights.pop(f"{SPEAKER}tract.weight")[0]
    colour = weights.pop(f"{SPEAKER}colour.weight")[:, 0]
    matrix, bias = weights[f"{_HEAD}weight"], weights[f"{_HEAD}bias"]
    for part in _LEVELS:
        rows = slice(part * BINS, (part + 1) * BINS)
        matrix[rows] = stretch(matrix[rows].T, tract).T
        bias[rows] = stretch(bias[rows], tract) + colour
    return weights
