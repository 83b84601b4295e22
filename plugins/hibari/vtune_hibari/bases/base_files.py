"""What is known of a base before its weights are read, and how the weights are loaded, strictly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from vtune import EngineError
from vtune.errors import printable
from vtune_hibari.bases.names import name_in_file
from vtune_hibari.bases.weights_in_graph import StoredTensor
from vtune_hibari.network.settings import HibariSettings
from vtune_hibari.network.voice import HibariNetwork

MAX_MAGNITUDE = 1e4
"""Largest weight that a voice may have; the published voice has at most a few dozen."""

MAX_NAME_CHARACTERS = 200
"""Characters of a tensor's name in an error."""

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
        targets = {name_in_file(name): target for name, target in network.state_dict(keep_vars=True).items()}
        self._require_all(targets)
        weights = {name: self.tensors[name].read() for name in targets}
        for name, weight in weights.items():
            _require_sane(weight, name, self.path)
        with torch.no_grad():
            for name, target in targets.items():
                target.copy_(weights[name])

    def _require_all(self, targets: Mapping[str, torch.Tensor]) -> None:
        missing = sorted(targets.keys() - self.tensors.keys())
        unexpected = sorted(self.tensors.keys() - targets.keys())
        misshapen = [
            f"{name} is {list(self.tensors[name].shape)}, should be {list(target.shape)}"
            for name, target in targets.items()
            if name in self.tensors and self.tensors[name].shape != tuple(target.shape)
        ]
        groups = (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
        problems = "; ".join(f"{len(names)} {what}: {_listed(names)}" for what, names in groups if names)
        if problems:
            raise EngineError(f"{self.path} does not hold this hibari network ({len(targets)} tensors): {problems}")


def _require_sane(tensor: torch.Tensor, name: str, path: Path) -> None:
    """Refuse a tensor that cannot be a voice's.

    :raises EngineError: it holds NaN, infinity or a number over `MAX_MAGNITUDE`, or no floating-point numbers.
    """
    if not tensor.is_floating_point():
        raise EngineError(f"{path}: the tensor {name} holds {tensor.dtype}, and a voice needs floating-point numbers")
    largest = tensor.float().abs().max().item() if tensor.numel() else 0.0
    if not largest <= MAX_MAGNITUDE:
        raise EngineError(
            f"{path}: the tensor {name} holds {largest:g}, and a voice's weights are finite numbers up to "
            f"{MAX_MAGNITUDE:g}; the file is damaged, get it again"
        )


def _listed(names: Iterable[str]) -> str:
    """List all names on one line; a stranger may have chosen them."""
    return ", ".join(printable(name[:MAX_NAME_CHARACTERS]) for name in names)
