"""Core's own implementations of the optional hooks; pluggy calls them last."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune.contract.hookspecs import hookimpl
from vtune.runtime.paths import VoiceFolder
from vtune.types import Conditioning, TrainingPart
from vtune.voice_format.record import write_conditioning
from vtune.voice_format.weights import save_weights

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)


@hookimpl(trylast=True)
def base_licence() -> None:
    return None


@hookimpl(trylast=True)
def fingerprint() -> dict[str, str]:
    return {}


@hookimpl(trylast=True)
def features_fingerprint() -> dict[str, str]:
    return {}


@hookimpl(trylast=True)
def footprint() -> None:
    return None


@hookimpl(trylast=True)
def prepare_text(text: str) -> str:
    return text


@hookimpl(trylast=True)
def training_parts() -> dict[str, TrainingPart]:
    return {}


@hookimpl(trylast=True)
def optimizers() -> dict[str, Any]:
    return {}


@hookimpl(trylast=True)
def mix_conditioning(parts: Sequence[Conditioning], weights: Sequence[float]) -> Conditioning:
    tensors = {name: _mean(name, [part.tensors.get(name) for part in parts], weights) for name in parts[0].tensors}
    return Conditioning(tensors, parts[0].strings)


def _mean(name: str, arrays: Sequence[np.ndarray | None], weights: Sequence[float]) -> np.ndarray:
    heaviest = arrays[0]
    assert heaviest is not None
    same = [array for array in arrays if array is not None and array.shape == heaviest.shape]
    if len(same) == len(arrays) and all(np.array_equal(array, heaviest) for array in same):
        return heaviest  # to the bit, which a weighted sum of equals is not
    if len(same) < len(arrays) or heaviest.dtype.kind != "f":
        logger.info(
            "conditioning: %s cannot be averaged; the mix takes it from the voice with the largest weight", name
        )
        return heaviest
    mean: np.ndarray = np.average(same, axis=0, weights=weights).astype(heaviest.dtype)
    return mean


@hookimpl(trylast=True)
def measure_network() -> dict[str, float]:
    return {}


@hookimpl(trylast=True)
def save_merged(network: nn.Module, directory: Path) -> list[Path]:
    from transformers import PreTrainedModel

    if isinstance(network, PreTrainedModel):
        network.save_pretrained(directory)
    else:
        save_weights(network, directory)
    return sorted(directory.iterdir())


@hookimpl(trylast=True)
def export_voice(model: nn.Module, conditioning: Conditioning, directory: Path) -> list[Path]:
    save_weights(model, directory)
    write_conditioning(conditioning, VoiceFolder(directory).conditioning)
    return sorted(directory.iterdir())
