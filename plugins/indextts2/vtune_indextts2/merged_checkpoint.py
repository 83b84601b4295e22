"""A merged GPT back into a checkpoint of the official layout, which upstream's software and this engine load."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import yaml
from torch import nn

from vtune.recipe.parse import read_yaml
from vtune_indextts2.checkpoint_files import CACHE_FOLDER, PART_SOURCES
from vtune_indextts2.part_loaders import UNUSED_GPT_ENTRIES, gpt_tensors
from vtune_indextts2.state_dicts import drop_entries

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base


def save(base: IndexTTS2Base, network: nn.Module, directory: Path) -> list[Path]:
    """Write ``gpt.pth`` with the merged tensors in the place of the base's, beside the other files of the checkpoint.

    Parts that lie in the base's folder come along; those that lie elsewhere stay there, and their options name them.
    """
    files = base.files
    save_gpt(base, network, directory / files.gpt.name)
    copied = [files.own("config.yaml"), files.s2mel, files.tokenizer, files.statistics, *files.emotions]
    if base.config.release == "2.5":
        copied.append(files.codec)  # whatever folder it came from: it speaks
    for path in copied:
        shutil.copy(path, directory / path.name)
    write_text_files(base, directory)
    for folder in (*(folder for folder, _ in PART_SOURCES), CACHE_FOLDER):
        if (Path(files.checkpoint) / folder).is_dir():
            shutil.copytree(Path(files.checkpoint) / folder, directory / folder)
    return sorted(path for path in directory.rglob("*") if path.is_file())


def write_text_files(base: IndexTTS2Base, directory: Path) -> None:
    """Write tokenizer and configuration with the pieces that were appended; nothing if none were."""
    files = base.files
    if not files.new_pieces:
        return
    (directory / files.tokenizer.name).write_bytes(files.load_tokenizer().serialized_model_proto())
    config = read_yaml(files.own("config.yaml"))
    config["gpt"]["number_text_tokens"] = base.config.gpt.number_text_tokens
    (directory / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), "utf-8")


def save_gpt(base: IndexTTS2Base, network: nn.Module, path: Path) -> None:
    """Write one ``gpt.pth``: the tensors of a network without an adapter, and the base's conditioning encoders."""
    kept = drop_entries(gpt_tensors(base.files.gpt), UNUSED_GPT_ENTRIES)
    merged = {name: tensor.detach().cpu().float().contiguous() for name, tensor in network.state_dict().items()}
    torch.save({"model": {**kept, **merged}}, path)
