"""``--to peft``: an adapter folder that plain PEFT loads onto the base."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.errors import VoiceError
from vtune.export.network_class import base_name, is_plain, network_of
from vtune.export.result import ExportResult
from vtune.export.target import FolderTarget
from vtune.export.verify import TOLERANCES, AnswerComparison, compare
from vtune.runtime.paths import VoiceFolder, write_json

if TYPE_CHECKING:
    from torch import nn

    from vtune.export.source import ExportSource
    from vtune.voice_format.record import VoiceRecord

DTYPE = "fp32"
"""The format of the adapter's weights: an adapter is kept as it was trained."""


def check(folder: VoiceFolder, record: VoiceRecord, directory: Path) -> None:
    """Refuse a voice without an adapter. :raises VoiceError: the voice was fully fine-tuned."""
    if record.method != "lora":
        raise VoiceError(f"voice {record.name!r} was fully fine-tuned: there is no adapter; export it --to merged")


def write(source: ExportSource, directory: Path, destination: Path, dtype: str | None) -> ExportResult:
    """Write adapter and conditioning, and read the adapter back with plain PEFT.

    :param destination: what ``directory`` becomes.
    """
    from vtune.export.card import Form
    from vtune.voice_format.adapter_config import read_adapter_config

    voice, network = source.voice, network_of(source.voice.model)
    base, plain = base_name(network, source.options_with()), is_plain(network)
    del network  # the voice's, which is let go before another is loaded
    voice.engine.export_voice(voice.base, voice.model, voice.conditioning, directory)
    config = VoiceFolder(directory).adapter_config
    write_json(config, {**read_adapter_config(config), "base_model_name_or_path": base})
    compared = _read_back(source, directory, base if plain else None)
    return ExportResult(
        Form("A LoRA adapter", "adapter", "peft", _use(voice.record, destination, base if plain else None)),
        compared,
        DTYPE,
        base,
        notes=[note] if (note := _note(base)) else [],
    )


def _read_back(source: ExportSource, directory: Path, plain_base: str | None) -> AnswerComparison:
    import torch
    from peft import PeftModel

    fresh: Any
    if plain_base is not None:
        from transformers import AutoModelForCausalLM

        from vtune.toolkit import load_pretrained

        source.take_model()
        fresh = load_pretrained(AutoModelForCausalLM, plain_base, dtype=torch.float32)
        how = "read back by plain transformers and PEFT"
    else:
        fresh = _fresh_network(source)
        how = "read back by plain PEFT onto the engine's own network, which plain transformers does not load"
    model = PeftModel.from_pretrained(fresh.to(source.device), str(directory))
    return compare(source, model, how, TOLERANCES[DTYPE])


def _fresh_network(source: ExportSource) -> nn.Module:
    source.take_model()
    network: nn.Module = source.engine.build_lora_model(source.voice.base, source.lora).unload()  # type: ignore[operator]
    return network


def _use(record: VoiceRecord, destination: Path, plain_base: str | None) -> str:
    say = f"```sh\nvtune say {shlex.quote(f'./{destination.name}')} 'Hello, this is my own voice.' --out hello.wav\n```"
    if plain_base is None:
        return (
            f"{say}\n\nThe network that it belongs to is loaded by the engine `{record.engine}`, not by transformers."
        )
    return (
        f"{say}\n\nor as any adapter:\n\n```python\nfrom peft import PeftModel\nfrom transformers import "
        f"AutoModelForCausalLM\n\nbase = AutoModelForCausalLM.from_pretrained({plain_base!r})\n"
        f"model = PeftModel.from_pretrained(base, {destination.name!r})\n```"
    )


def _note(base: str | None) -> str:
    if base is None or not Path(base).is_absolute():
        return ""
    return (
        f"its base is a folder of this machine ({base}); whoever gets it names their own copy in adapter_config.json, "
        "and voice.json has the fingerprints that it must have"
    )


TARGET = FolderTarget("peft", "an adapter for plain PEFT", (DTYPE,), check, write)
