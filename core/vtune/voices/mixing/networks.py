"""Add up fully fine-tuned voices: each weight of the base changes by the weighted sum of the voices' changes.

A weight is ``W + sum_i w_i (W_i - W)``, with ``W`` of the base and ``W_i`` of the voices. With one voice and a factor
below 1, this is the average of a network before and after its tuning of Wortsman et al., 2022 (arXiv 2109.01903).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vtune.voice_format.weights import add_network, place_of
from vtune.voices.mixing.parts import MixPart

if TYPE_CHECKING:
    from torch import nn


def fill_with_sum(network: nn.Module, parts: Sequence[MixPart]) -> None:
    """Change a network that has the base's weights into the sum of fully fine-tuned voices, in place.

    No second network is held in memory. Buffers of integers keep the base's values, which no training changes.

    :raises VoiceError: the weights of a voice are missing, damaged, or of another network.
    """
    import torch

    kept = 1 - sum(part.weight for part in parts)
    tensors = {place_of(name, tensor): tensor for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        for tensor in tensors.values():
            if tensor.is_floating_point():
                tensor.mul_(kept)
    for part in parts:
        add_network(network, part.folder.path, part.weight)
