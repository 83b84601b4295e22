"""What is known of a base before its weights are read, and how the weights are loaded, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from vtune.toolkit.strict_tensors import require_same_tensors, require_sane_tensor
from vtune_hibari.bases.names import name_in_file
from vtune_hibari.bases.weights_in_graph import StoredTensor
from vtune_hibari.network.settings import HibariSettings
from vtune_hibari.network.speaker import SPEAKER, folded_weights
from vtune_hibari.network.voice import HibariNetwork

Accent = Literal["american", "british"]


@dataclass(frozen=True)
class BaseFiles:
    """A base: what its file says, and its weights, which are read when they are loaded."""

    path: Path
    """An ONNX file as the package hibari-tts publishes them, or a file of ``vtune merge``."""

    settings: HibariSettings
    fingerprint: str
    """Hash of the file's content, hexadecimal."""

    tensors: Mapping[str, StoredTensor]
    """All tensors of the network, by their names in a published file."""

    accent: Accent | None = None
    """The accent whose rules turn texts into phonemes; None if nothing tells it."""

    def load(self, network: HibariNetwork) -> None:
        """Copy the base's weights into a network; nothing is copied if anything does not fit.

        :raises EngineError: names every tensor that is missing, unexpected or of another shape, or the first one that
            holds NaN, infinity or an absurd number.
        """
        tensors = network.state_dict(keep_vars=True)
        speaker = [tensors.pop(name) for name in list(tensors) if name.startswith(SPEAKER)]
        targets = {name_in_file(name): target for name, target in tensors.items()}
        require_same_tensors(
            {name: tuple(tensor.shape) for name, tensor in self.tensors.items()},
            {name: tuple(target.shape) for name, target in targets.items()},
            f"{self.path} does not hold this hibari network",
        )
        weights = {name: self.tensors[name].read() for name in targets}
        for name, weight in weights.items():
            require_sane_tensor(weight, name, self.path)
        with torch.no_grad():
            for name, target in targets.items():
                target.copy_(weights[name])
            for tensor in speaker:
                tensor.zero_()


def file_weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights of a whole network by their names in a published file: copies, float32, on the CPU."""
    return {name_in_file(name): tensor for name, tensor in folded_weights(network).items()}
