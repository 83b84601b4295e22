"""What an engine need not write: core's own implementations of the optional hooks, asked last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vtune.folders import VoiceFolder
from vtune.hookspecs import hookimpl
from vtune.types import Conditioning
from vtune.voices import write_conditioning
from vtune.weights import save_weights

if TYPE_CHECKING:
    from torch import nn


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
