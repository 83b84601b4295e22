"""Write a merged network as one file in full precision, which is a base again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save_file
from torch import nn

from vtune_hibari.bases.base_files import file_weights
from vtune_hibari.bases.base_formats import HEADER_KEY, MERGED_SUFFIX, MergedHeader
from vtune_hibari.bases.shapes import recorded_dilations, recorded_uses

if TYPE_CHECKING:
    from vtune_hibari.bases import BaseFiles


def save(files: BaseFiles, network: nn.Module, directory: Path) -> list[Path]:
    """Write a merged network into an existing folder, and return the files.

    :param files: of the base that the network comes from.
    """
    header = MergedHeader(
        uses=recorded_uses(files.settings), dilations=recorded_dilations(files.settings), accent=files.accent
    )
    tensors = {name: tensor.contiguous() for name, tensor in file_weights(network).items()}
    path = directory / f"voice{MERGED_SUFFIX}"
    save_file(tensors, path, metadata={HEADER_KEY: header.model_dump_json()})
    return [path]
