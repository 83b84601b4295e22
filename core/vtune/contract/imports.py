"""What crosses the hook ``import_voice``: the files of a voice of other software, and what an engine reads in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vtune.types import Conditioning, LoraSettings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class VoiceToImport:
    """The files of a voice that other software trained.

    :param path: the file or folder that the user named: an adapter, a checkpoint, or a folder with more.
    :param embeddings: a file with the speaker as the other software keeps it; None if the user named none.
    :param reference: a recording of the speaker; None if the user named none.
    """

    path: Path
    embeddings: Path | None = None
    reference: Path | None = None


@dataclass(frozen=True, slots=True)
class ImportedVoice:
    """A voice of other software, as this engine's network takes it.

    :param layout: what the files are, a noun for users: ``a LoRA of index-tts``.
    :param weights: tensors of the adapter by PEFT's names (``base_model.model.h.0.mlp.lora_A.weight``), or all tensors
        of the network by name if ``lora`` is None.
    :param conditioning: what the voice speaks with.
    :param lora: the shape of the adapter; None for a network that was trained as a whole.
    :param files: the files that were read, for the record of the voice.
    :param name: a name for the voice that the files suggest; empty if they suggest none.
    :param notes: sentences about what the files say and do not say, for the log and the card.
    :param fingerprint: parts of the base that the files name, with the hashes that they had; the base must have them.
    """

    layout: str
    weights: Mapping[str, torch.Tensor]
    conditioning: Conditioning
    files: Sequence[Path] = ()
    lora: LoraSettings | None = None
    name: str = ""
    notes: Sequence[str] = ()
    fingerprint: Mapping[str, str] | None = None

    @property
    def method(self) -> Literal["lora", "full"]:
        """How the voice was trained, as ``voice.json`` names it."""
        return "full" if self.lora is None else "lora"
