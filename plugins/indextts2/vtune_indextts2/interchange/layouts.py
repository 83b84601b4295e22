"""Find what a folder or file of another trainer is: an adapter, a checkpoint, a speaker's folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vtune import VoiceError

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_model.bin")
LORA_FOLDER, EMBEDDINGS_FILE = "lora/final_checkpoint", "embeddings/speaker_embeddings.pt"
FULL_CHECKPOINTS = ("finetune/best_model.pth", "best_model.pth", "gpt.pth")
"""Where the fork's trainers and ``vtune export --to indextts`` put things, from the folder of a speaker."""

TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")
PLAIN_NAMES = frozenset(
    {"final_checkpoint", "lora", "finetune", "embeddings", "adapter", "best_model", "gpt", "latest"}
)
"""Names of folders and files that say nothing about the speaker."""


@dataclass(frozen=True)
class TrainedFiles:
    """What another trainer saved.

    :param kind: a PEFT folder, or a file by ``torch.save``: an adapter with its settings, or all weights.
    """

    path: Path
    kind: Literal["peft folder", "checkpoint"]

    @property
    def speaker(self) -> str:
        """Return the name that the path gives the speaker; empty if it gives none."""
        for part in (self.path.stem if self.path.is_file() else self.path.name, *(p.name for p in self.path.parents)):
            if part and part.lower() not in PLAIN_NAMES and not part.startswith(("checkpoint", "model_step")):
                return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in part).strip("-_")
        return ""

    def embeddings(self) -> Path | None:
        """Return the file of the speaker that lies where the fork puts it; None if there is none."""
        for folder in self._folders_around():
            for name in (EMBEDDINGS_FILE, Path(EMBEDDINGS_FILE).name):
                if (folder / name).is_file():
                    return folder / name
        return None

    def exported_facts(self) -> Path | None:
        """Return the ``export.json`` of ``vtune export`` that belongs to the files; None if there is none."""
        paths = (folder / "export.json" for folder in self._folders_around())
        return next((path for path in paths if path.is_file()), None)

    def _folders_around(self) -> Iterator[Path]:
        folder = self.path.parent if self.path.is_file() else self.path
        yield folder
        yield from list(folder.absolute().parents)[:2]


def find_trained_files(path: Path) -> TrainedFiles:
    """Find what was trained in a file or folder that a user named.

    :raises VoiceError: there is nothing of a known layout, or there are two things.
    """
    if path.is_file():
        if path.name in ADAPTER_FILES or path.name == ADAPTER_CONFIG:
            return find_trained_files(path.absolute().parent)
        if path.suffix not in TORCH_SUFFIXES:
            raise VoiceError(f"{path} is no checkpoint: its name should end with {', '.join(TORCH_SUFFIXES)}")
        return TrainedFiles(path.absolute(), "checkpoint")
    if (path / ADAPTER_CONFIG).is_file():
        return TrainedFiles(path.absolute(), "peft folder")
    adapter, full = path / LORA_FOLDER, path / FULL_CHECKPOINTS[0]
    if (adapter / ADAPTER_CONFIG).is_file():
        if full.is_file():
            raise VoiceError(f"{path} holds an adapter and a full fine-tuning; name one: {adapter} or {full}")
        return TrainedFiles(adapter.absolute(), "peft folder")
    for name in FULL_CHECKPOINTS:
        if (path / name).is_file():
            return TrainedFiles((path / name).absolute(), "checkpoint")
    raise VoiceError(
        f"{path} holds no voice of index-tts: looked for {ADAPTER_CONFIG}, {LORA_FOLDER}/{ADAPTER_CONFIG}, "
        f"{', '.join(FULL_CHECKPOINTS)}; name the adapter's folder or the checkpoint's file"
    )
