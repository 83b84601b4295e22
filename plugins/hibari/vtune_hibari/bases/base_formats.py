"""Open a base by the name of a published voice, or by the path of a file."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open

from vtune import EngineError
from vtune.errors import in_a_line, listed, nearest, shown
from vtune.runtime.untrusted import require_regular
from vtune.toolkit import fetch_file, hash_file
from vtune.toolkit.onnx_graph import read_onnx_graph
from vtune_hibari.bases.base_files import Accent, BaseFiles
from vtune_hibari.bases.package import HUB_REPOSITORY, PublishedVoice, package_file, published_voices
from vtune_hibari.bases.shapes import FoundSizes, settings_of
from vtune_hibari.bases.weights_in_graph import StoredTensor, count_uses, find_dilations, find_tensors

OPTION = "base_model"

MERGED_SUFFIX = ".safetensors"

HEADER_KEY = "hibari"
"""The entry of a merged voice's header that has, as JSON, what the shapes of tensors do not tell."""


def open_base(name: str) -> BaseFiles:
    """Return what is known of a base; its weights are read when they are loaded.

    :param name: a published voice (``heart``), an ONNX file in the form of the published voices, or a file that
        ``vtune merge`` wrote, or the folder that holds it.
    :raises EngineError: there is no such voice or file, or it is no hibari voice.
    :raises FileRefused: the file is damaged.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        path = _only_base(path)
    if path.is_file():
        return open_merged(path) if path.suffix == MERGED_SUFFIX else open_onnx(path)
    if path.suffix or "/" in name:
        raise EngineError(f"engine_options.{OPTION}: there is no file {shown(name)}")
    voices = published_voices()
    if name not in voices:
        raise EngineError(
            f"engine_options.{OPTION}: there is no published voice {shown(name)}{nearest(name, voices)}; the voices "
            f"are {listed(voices)}, and the path of an .onnx file is possible too"
        )
    return open_onnx(_published_file(voices[name]), "british" if voices[name].british else "american")


def open_onnx(path: Path, accent: Accent | None = None) -> BaseFiles:
    """Return what is known of an ONNX file in the form of the published voices.

    :raises EngineError: it is no hibari voice.
    :raises FileRefused: it is damaged, or no ONNX file.
    """
    graph = read_onnx_graph(path)
    tensors = find_tensors(graph)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    settings = settings_of(FoundSizes(str(path), shapes, count_uses(graph), find_dilations(graph)))
    return BaseFiles(path, settings, hash_file(path), tensors, accent)


def open_merged(path: Path) -> BaseFiles:
    """Return what is known of a file that ``vtune merge`` wrote.

    :raises EngineError: it is damaged, or no hibari voice.
    """
    require_regular(path)
    try:
        with safe_open(path, "pt") as file:
            header = _read_header((file.metadata() or {}).get(HEADER_KEY, ""))
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 # no mapping
    except SafetensorError as error:
        raise EngineError(f"{path} is no complete safetensors file ({in_a_line(error)}); get it again") from error
    settings = settings_of(FoundSizes(str(path), shapes, header.uses, header.dilations))
    tensors = {name: StoredTensor(shape, _merged_tensor(path, name)) for name, shape in shapes.items()}
    return BaseFiles(path, settings, hash_file(path), tensors, header.accent)


class MergedHeader(BaseModel):
    """What a merged voice says about itself beside its tensors; the names of tensors are those of published files."""

    uses: dict[str, int] = {}
    dilations: dict[str, int] = {}
    accent: Accent | None = None


def _read_header(text: str) -> MergedHeader:
    try:
        return MergedHeader.model_validate_json(text)
    except ValidationError:  # the file is none of vtune's, and what is missing from it is told by its tensors
        return MergedHeader()


def _merged_tensor(path: Path, name: str) -> Callable[[], torch.Tensor]:
    def read() -> torch.Tensor:
        with safe_open(path, "pt") as file:
            tensor: torch.Tensor = file.get_tensor(name)
        return tensor

    return read


def _only_base(folder: Path) -> Path:
    candidates = sorted(path for path in folder.iterdir() if path.suffix in (MERGED_SUFFIX, ".onnx"))
    if len(candidates) != 1:
        found = f"several files that may be one ({listed(path.name for path in candidates)})" if candidates else "none"
        raise EngineError(
            f"engine_options.{OPTION}: the folder {folder} should hold one base, an .onnx or a {MERGED_SUFFIX} file, "
            f"and it holds {found}; name a file"
        )
    return candidates[0]


def _published_file(voice: PublishedVoice) -> Path:
    """Return the path of a published voice; voices that are not in the package are fetched from the Hub.

    :raises EngineError: the Hub cannot be reached, or what came is not the file of the package's list.
    """
    if voice.bundled:
        return package_file(voice.file)
    path = fetch_file(HUB_REPOSITORY, f"voices/{voice.file}")
    if path is None:
        raise EngineError(f"engine_options.{OPTION}: the repository {HUB_REPOSITORY} has no voice {voice.name!r}")
    found = sha256(path.read_bytes()).hexdigest()
    if found != voice.sha256:
        raise EngineError(
            f"{path}: the voice {voice.name!r} should have the SHA-256 {voice.sha256[:12]}..., and it has "
            f"{found[:12]}...; the file is damaged or another version, so delete it or name another base"
        )
    return path
