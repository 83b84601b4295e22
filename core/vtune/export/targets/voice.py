"""``--to voice``: the voice itself, as ``vtune say`` loads it from a folder or from the Hub."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vtune.export.result import ExportResult
from vtune.export.target import FolderTarget

if TYPE_CHECKING:
    from torch import nn

    from vtune.export.source import ExportSource
    from vtune.runtime.paths import VoiceFolder
    from vtune.voice_format.record import VoiceRecord

DTYPE = "fp32"
"""The format of the weights: they are kept as they were trained."""

_HOW = "read back by vtune onto a new copy of its base"


def check(folder: VoiceFolder, record: VoiceRecord, directory: Path) -> None:
    """Refuse nothing: every voice is a voice."""


def write(source: ExportSource, directory: Path, destination: Path, dtype: str | None) -> ExportResult:
    """Write weights and conditioning, and read them back as a voice is opened.

    :param destination: what ``directory`` becomes.
    """
    from vtune.export.card import Form

    record = source.voice.record
    result = write_voice_files(source, directory)
    relation: Literal["adapter", "finetune"] = "finetune" if record.method == "full" else "adapter"
    library = "transformers" if record.method == "full" else "peft"
    say = f"vtune say {shlex.quote(f'./{destination.name}')} 'Hello, this is my own voice.' --out hello.wav"
    form = Form("A voice", relation, library, f"```sh\n{say}\n```")
    return ExportResult(form, result.compared, DTYPE, result.base)


def write_voice_files(source: ExportSource, directory: Path) -> ExportResult:
    """Write weights and conditioning into an empty folder and read them back; the form names no use.

    :raises VoiceError: what was written answers differently from the voice.
    """
    from vtune.export.card import Form
    from vtune.export.network_class import base_name, network_of
    from vtune.export.verify import TOLERANCES, compare
    from vtune.runtime.paths import VoiceFolder, write_json
    from vtune.voice_format.adapter_config import read_adapter_config
    from vtune.voice_format.weights import load_weights

    voice = source.voice
    base: str | None = None
    voice.engine.export_voice(voice.base, voice.model, voice.conditioning, directory)
    config = VoiceFolder(directory).adapter_config
    if voice.record.method == "lora":
        base = base_name(network_of(voice.model), source.options_with())
        write_json(config, {**read_adapter_config(config), "base_model_name_or_path": base})
    model = _new_network(source)
    load_weights(model, directory)
    compared = compare(source, model.eval(), _HOW, TOLERANCES[DTYPE])
    return ExportResult(Form("A voice", "adapter", "peft", ""), compared, DTYPE, base)


def _new_network(source: ExportSource) -> nn.Module:
    """Return a network without the voice's weights. The voice's own network is let go first, to spare its memory."""
    source.take_model()
    if source.voice.record.method == "lora":
        return source.engine.build_model(source.voice.base, source.lora, "lora")
    return source.engine.build_model(_new_base(source), source.lora, "full")


def _new_base(source: ExportSource) -> object:
    """Load the base again: a full fine-tuning has changed the weights of the one in memory."""
    import torch

    return source.engine.load_base(source.options_with(), source.device, torch.float32)


TARGET = FolderTarget("voice", "the voice itself, for vtune and for the Hub", (DTYPE,), check, write)
