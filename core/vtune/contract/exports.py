"""What an export target of an engine or an extension is: functions that write files, read them back and compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass

from vtune.types import Audio, Batch, Conditioning, EngineOptions
from vtune.voice_format.record import VoiceRecord

if TYPE_CHECKING:
    import torch
    from torch import nn

MAX_TOLERANCE = 0.1
"""Largest tolerance of a target: numbers that differ by more are no export of the same voice."""


@dataclass(frozen=True, slots=True)
class VoiceToExport:
    """An opened voice, in float32 and in eval mode.

    :param record: what ``voice.json`` says: the voice's name, whose voice it is, the licence, how it was made.
    :param base: the engine's state, from ``load_base``.
    :param model: the voice's network: a ``PeftModel``, or the whole network of a fully fine-tuned voice.
    :param merge: returns a copy of the network with the adapter folded in; ``model`` stays as it is.
    :param options: the engine's options of the voice.
    :param sentences: a few sentences that the voice spoke when it was made.
    :param batches: each sentence with its sound as a batch of one row, on ``device``, as ``collate`` makes it.
    :param speak: speaks a text with a seed.
    :param dtype: format of the weights that the user asked for: ``fp32``, ``fp16`` or ``bf16``.
    """

    record: VoiceRecord
    base: Any
    model: nn.Module
    merge: Callable[[], nn.Module]
    conditioning: Conditioning
    options: EngineOptions
    sentences: Sequence[str]
    batches: Sequence[Batch]
    speak: Callable[[str, int], Iterator[Audio]]
    device: torch.device
    dtype: str

    @property
    def name(self) -> str:
        """The name of the voice."""
        return self.record.name


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Numbers that the written files must give, beside those that they do give.

    :param what: what was computed, for users: a sentence, or the name of a tensor.
    :param expected: what the voice's network computes: a NumPy array or a tensor.
    :param found: what is computed from the files that were read back, in the same shape.
    """

    what: str
    expected: Any
    found: Any


@checked_dataclass(frozen=True, slots=True, config=ConfigDict(strict=True))
class ExportTarget:
    """A kind of folder that ``vtune export VOICE --to NAME`` writes.

    Import slow modules inside ``write`` and ``compare``.

    :param name: what users write after ``--to``: small letters, digits and ``-``.
    :param description: what the folder holds, a few words for help texts, the card and docs.
    :param write: called with the voice and an empty folder; writes the files into the folder. Raises
        ``vtune.VoiceError`` with a sentence where the voice does not fit the target.
    :param compare: called with the voice and the folder after ``write``; reads the files and returns or yields
        ``ReadBack`` pairs. vtune compares the numbers, and refuses a ``compare`` that gives the same without the files.
    :param tolerance: largest allowed difference, as a share of the largest expected number.
    :param dtypes: formats of the weights that ``--dtype`` may name; the first is the default.
    :param use: how the folder is used, in Markdown, for the card.
    :param notes: sentences that the user should read after the export.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    description: Annotated[str, Field(min_length=1)]
    write: Callable[[VoiceToExport, Path], Any]
    compare: Callable[[VoiceToExport, Path], Iterable[ReadBack]]
    tolerance: Annotated[float, Field(gt=0, le=MAX_TOLERANCE)] = 1e-3
    dtypes: Annotated[tuple[Literal["fp32", "fp16", "bf16"], ...], Field(min_length=1)] = ("fp32",)
    use: str = ""
    notes: tuple[str, ...] = ()
