"""Piper's training checkpoints (``.ckpt``, a pickle by Lightning), of which only tensors and plain data are read."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from vtune import EngineError
from vtune.errors import shown
from vtune.runtime.untrusted import require_regular
from vtune.toolkit import read_tensors
from vtune_vits.bases.base_files import BaseFiles, fingerprint_of
from vtune_vits.bases.names import fold_weight_normalisation, piper_name
from vtune_vits.bases.piper_json import find_json, read_licence, read_piper_json
from vtune_vits.bases.piper_shapes import Steps, has_duration_posterior, has_posterior, piper_settings

GENERATOR, DISCRIMINATOR = "model_g.", "model_d."
"""Beginnings of the names of the voice's own tensors, and of those of the discriminators that taught it."""

_IGNORED = ("model_mrd.", "_mos_predictor.")
"""Beginnings of names of further networks that only Piper's own training uses."""


def open_piper_checkpoint(path: Path) -> BaseFiles:
    """Return what is known of a Piper checkpoint, with its JSON beside it (``voice.ckpt.json`` or ``config.json``).

    :raises FileRefused: a file is damaged, or the two do not belong together.
    :raises EngineError: the checkpoint holds more than tensors and plain data, or no voice of Piper.
    """
    json = read_piper_json(find_json(path, "config.json"))
    require_regular(path)
    content = _read_checkpoint(path)
    weights = content.get("state_dict")
    settings_of_training = content.get("hyper_parameters")
    if not isinstance(weights, Mapping) or not isinstance(settings_of_training, Mapping):
        raise EngineError(f"{path} is no checkpoint of Piper: it lacks state_dict or hyper_parameters")
    tensors = fold_weight_normalisation(_part(weights, GENERATOR, path))
    has_discriminators = any(str(name).startswith(DISCRIMINATOR) for name in weights)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    settings = json.complete(piper_settings(shapes, _steps(settings_of_training, path), str(path)))
    paths = (path, json.path)

    def read_all() -> Mapping[str, torch.Tensor]:
        return fold_weight_normalisation(_part(_read_checkpoint(path)["state_dict"], GENERATOR, path))

    def read_discriminators() -> Mapping[str, torch.Tensor]:
        return fold_weight_normalisation(_part(_read_checkpoint(path)["state_dict"], DISCRIMINATOR, path))

    return BaseFiles(
        format="piper_checkpoint",
        source=str(path),
        paths=paths,
        settings=settings,
        text=json.text,
        fingerprint=fingerprint_of(paths),
        has_posterior=has_posterior(shapes),
        has_duration_posterior=has_duration_posterior(shapes, settings),
        licence=read_licence(path.parent),
        read_tensors=read_all,
        name_in_file=piper_name,
        read_discriminators=read_discriminators if has_discriminators else None,
    )


class _PathParts:
    """Stands for a path of the computer that wrote a checkpoint; older versions of Piper store such paths."""

    def __init__(self, *parts: str) -> None:
        self.parts = parts


@contextmanager
def _allowed_paths() -> Iterator[None]:
    """Let torch read paths in pickles, under all names that Python gives them, as a class of ours that does nothing."""
    names = [f"{module}.{kind}Path" for module in ("pathlib", "pathlib._local") for kind in ("Posix", "Windows")]
    with torch.serialization.safe_globals([(_PathParts, name) for name in names]):
        yield


def _read_checkpoint(path: Path) -> dict[str, Any]:
    with _allowed_paths():
        content = read_tensors(path)
    if not isinstance(content, dict):
        raise EngineError(f"{path} is no checkpoint of Piper: it holds {shown(content)}")
    return content


def _part(weights: Mapping[Any, Any], beginning: str, path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors whose names have a beginning, without that beginning.

    :raises EngineError: an entry is no tensor, or belongs to nothing that a Piper checkpoint holds.
    """
    part: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise EngineError(f"{path}: the entry {shown(name)} of state_dict is no tensor with a name")
        if not name.startswith((GENERATOR, DISCRIMINATOR, *_IGNORED)):
            raise EngineError(f"{path} is no checkpoint of Piper: it holds {shown(name)}, which no part of Piper has")
        if name.startswith(beginning):
            part[name.removeprefix(beginning)] = tensor
    return part


def _steps(settings: Mapping[Any, Any], path: Path) -> Steps:
    dilations = _literal(settings, "resblock_dilation_sizes", path)
    if not isinstance(dilations, list | tuple):
        raise _refused(path, "resblock_dilation_sizes", dilations)
    return Steps(
        upsample_rates=_whole_numbers(_literal(settings, "upsample_rates", path), path, "upsample_rates"),
        residual_dilations=tuple(_whole_numbers(part, path, "resblock_dilation_sizes") for part in dilations),
    )


def _literal(settings: Mapping[Any, Any], name: str, path: Path) -> Any:
    """Return an entry; a text such as ``"(8, 8, 4)"`` counts as what it spells."""
    value = settings.get(name)
    if isinstance(value, str):
        try:
            return ast.literal_eval(value[:1000])
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise _refused(path, name, value) from None
    return value


def _whole_numbers(value: Any, path: Path, name: str) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not all(type(number) is int for number in value):
        raise _refused(path, name, value)
    return tuple(value)


def _refused(path: Path, name: str, value: Any) -> EngineError:
    return EngineError(f"{path}: hyper_parameters.{name} is {shown(value)}, expected a list of whole numbers")
