"""Write a merged network in the format of its base, so that it is a base again, and other software can load it.

A base of transformers becomes a ``VitsModel`` folder, a Piper voice becomes a checkpoint with its JSON. ONNX files,
which ``vtune export --to piper`` writes, lack what a later training needs.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from vtune import EngineError
from vtune_vits.bases.names import absent_names, piper_name
from vtune_vits.bases.piper_checkpoint import GENERATOR
from vtune_vits.network.source_filter import SourceFilterVocoder

if TYPE_CHECKING:
    from vtune_vits.bases import BaseFiles
    from vtune_vits.network.settings import VitsSettings

CHECKPOINT_NAME, JSON_NAME = "voice.ckpt", "config.json"
TOKENIZER_NAMES = ("vocab.json", "tokenizer_config.json")


def save(files: BaseFiles, network: nn.Module, directory: Path) -> list[Path]:
    """Write a merged network into an existing folder, and return the files.

    :param files: of the base that the network comes from.
    :raises EngineError: the network has a vocoder of source and filters, which no format of a base can hold.
    """
    if isinstance(network.decoder, SourceFilterVocoder):
        raise EngineError(
            "a voice with engine_options.vocoder: source_filter cannot be written as a base, because no base has such "
            "a vocoder; take the voice's own folder, or write a file that speaks with vtune export --to piper"
        )
    tensors = {name: tensor.detach().float().cpu() for name, tensor in network.state_dict().items()}
    if files.format == "transformers":
        _save_transformers(files, tensors, directory)
    else:
        _save_piper(files, tensors, directory)
    return sorted(path for path in directory.iterdir() if path.is_file())


def _save_transformers(files: BaseFiles, tensors: dict[str, torch.Tensor], directory: Path) -> None:
    from transformers import VitsModel

    with torch.random.fork_rng(devices=[]):  # the weights that are replaced below are drawn at random
        model = VitsModel(files.settings.config())
    with torch.no_grad():
        for name, module in model.named_modules():
            if parametrize.is_parametrized(module, "weight"):  # weight normalisation: scale and direction
                module.weight = tensors.pop(f"{name}.weight")
    model.load_state_dict(tensors, strict=False)
    model.save_pretrained(directory)
    for path in files.paths:
        if path.name in TOKENIZER_NAMES:
            shutil.copyfile(path, directory / path.name)


def _save_piper(files: BaseFiles, tensors: dict[str, torch.Tensor], directory: Path) -> None:
    absent = absent_names(
        files.settings, posterior=files.has_posterior, duration_posterior=files.has_duration_posterior
    )
    weights = {
        f"{GENERATOR}{piper_name(name)}": _piper_shape(name, tensor)
        for name, tensor in tensors.items()
        if not name.startswith(absent)
    }
    torch.save(
        {"state_dict": weights, "hyper_parameters": _hyper_parameters(files.settings)}, directory / CHECKPOINT_NAME
    )
    (json_path,) = (path for path in files.paths if path.suffix == ".json")
    shutil.copyfile(json_path, directory / JSON_NAME)


def _piper_shape(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in Piper's shape: attention is made of convolutions of kernel 1 there."""
    return tensor[..., None] if name.endswith("_proj.weight") and tensor.ndim == 2 else tensor


def _hyper_parameters(settings: VitsSettings) -> dict[str, Any]:
    vocoder = settings.vocoder
    return {
        "sample_rate": settings.sample_rate,
        "num_symbols": settings.vocab_size,
        "num_speakers": settings.speakers,
        "resblock": str(vocoder.residual_type),
        "resblock_kernel_sizes": vocoder.residual_kernels,
        "resblock_dilation_sizes": vocoder.residual_dilations,
        "upsample_rates": vocoder.upsample_rates,
        "upsample_initial_channel": vocoder.first_channels,
        "upsample_kernel_sizes": vocoder.upsample_kernels,
    }
