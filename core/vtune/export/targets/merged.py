"""``--to merged``: one model folder, the adapter folded into its base."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.errors import VoiceError
from vtune.export.network_class import is_plain, network_of
from vtune.export.result import ExportResult
from vtune.export.target import FolderTarget
from vtune.export.transformers4 import write_for_older_readers
from vtune.export.verify import TOLERANCES, AnswerComparison, compare
from vtune.runtime.paths import VoiceFolder

if TYPE_CHECKING:
    from torch import nn

    from vtune.export.source import ExportSource
    from vtune.voice_format.record import VoiceRecord

VOICE_FILES = "voice/"
"""Folder for vtune's own files in a model folder, apart from the files that loaders of ``*.safetensors`` read."""


def require_merging(folder: VoiceFolder, record: VoiceRecord, directory: Path) -> None:
    """Refuse a voice of an engine that cannot merge; any other voice can be one model, a fully fine-tuned one is.

    :raises EngineError: the engine does not support merging.
    """
    from vtune.engines import load_engine

    if record.method == "lora":
        load_engine(record.engine).require("merging", "fold an adapter into its base")


def _write(source: ExportSource, directory: Path, destination: Path, dtype: str | None) -> ExportResult:
    """Merge, write, and read back. :raises VoiceError: the engine writes its own format, or the answers differ."""
    from vtune.export.card import Form

    plain = is_plain(network_of(source.voice.model))
    dtype = dtype or ("bf16" if plain else "fp32")
    if dtype != "fp32" and not plain:
        raise VoiceError(f"--dtype {dtype}: engine {source.engine.name!r} writes its merged network in its own format")
    compared = write_merged_network(source, directory, dtype)
    library = "transformers" if plain else "vtune"
    form = Form("One merged model", "finetune", library, _use(source, destination, plain), files=VOICE_FILES)
    return ExportResult(form, compared, dtype)


def write_merged_network(source: ExportSource, directory: Path, dtype: str) -> AnswerComparison:
    """Write the merged network by the engine's hook, read the folder back, and ask it what the voice was asked.

    :param dtype: ``fp32``, ``bf16`` or ``fp16``.
    :raises TrainingError: merged in memory, the network answers differently from the voice.
    :raises VoiceError: the folder does, read back, or it encodes words and sound differently.
    """
    import torch

    from vtune.training import guards

    network = merged_network(source.take_model())
    for beside, batch in zip(source.answers, source.batches, strict=True):
        guards.compare_answers(beside, guards.probe_logits(network, batch), TOLERANCES["fp32"])
    plain = is_plain(network)
    if dtype != "fp32":
        network.to({"bf16": torch.bfloat16, "fp16": torch.float16}[dtype])
    source.engine.save_merged(source.voice.base, network, directory)
    if plain:
        write_for_older_readers(directory)
    del network
    how, model = _read_back(source, directory, plain)
    return compare(source, model, how, TOLERANCES[dtype])


def merged_network(model: nn.Module) -> nn.Module:
    """Fold the adapter of a model into its network, in place; return a model without an adapter as it is."""
    from peft import PeftModel

    if not isinstance(model, PeftModel):
        return model
    _untie(model.get_base_model())
    network: nn.Module = model.merge_and_unload()
    ends = _tied(network)
    if ends is not None and ends[0].weight is not ends[1].weight:
        network.config.tie_word_embeddings = False  # type: ignore[union-attr] # else a loader would tie them again
    return network


def _untie(network: nn.Module) -> None:
    """Give the head weights of its own where it or the table is adapted: merging changes weights in place."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from torch import nn

    ends = _tied(network)
    if ends is None or not any(isinstance(end, BaseTunerLayer) for end in ends):
        return
    table, head = (end.get_base_layer() if isinstance(end, BaseTunerLayer) else end for end in ends)
    if table.weight is head.weight:
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)


def _tied(network: nn.Module) -> tuple[Any, Any] | None:
    """Return table and head of a network whose configuration says that they share their weights."""
    from transformers import PreTrainedModel

    if not isinstance(network, PreTrainedModel) or not getattr(network.config, "tie_word_embeddings", False):
        return None
    table, head = network.get_input_embeddings(), network.get_output_embeddings()
    return None if table is None or head is None else (table, head)


def _read_back(source: ExportSource, directory: Path, plain: bool) -> tuple[str, nn.Module]:
    import torch

    from vtune.voice_format.weights import load_weights

    model: Any
    takes_folder = "base_model" in source.engine.info.options.model_fields
    if takes_folder:
        base = source.engine.load_base(source.options_with(base_model=str(directory)), source.device, torch.float32)
        if not source.engine.info.features_by_network:
            _require_same_encoding(source, base)
    if plain:
        from transformers import AutoModelForCausalLM

        from vtune.toolkit import load_pretrained

        model = load_pretrained(AutoModelForCausalLM, directory, dtype=torch.float32)
        return "read back by plain transformers", model.to(source.device)
    if takes_folder:
        # A fresh adapter speaks as its base, by contract.
        return f"read back by the engine {source.engine.name!r}", source.engine.build_lora_model(base, source.lora)
    model = source.engine.build_lora_model(source.voice.base, source.lora).unload()  # type: ignore[operator]
    load_weights(model, directory)
    return "weights read back into the engine's network", model


def _require_same_encoding(source: ExportSource, base: Any) -> None:
    import numpy as np

    for clip, before in zip(source.clips, source.features, strict=True):
        after = source.engine.prepare_sample(base, clip, source.options_with())
        differ = [
            name
            for name in {**before, **after}
            if name not in before or name not in after or not np.array_equal(before[name], after[name])
        ]
        if differ:
            raise VoiceError(
                f"the written folder encodes {clip.text!r} differently ({', '.join(differ)}): its tokenizer or codec "
                "is not the base's; nothing was kept"
            )


def _use(source: ExportSource, destination: Path, plain: bool) -> str:
    record = source.voice.record
    recipe = f"```yaml\nengine: {record.engine}\nengine_options: {{base_model: {destination.name}}}\n```"
    if not plain:
        return f"As the base of a recipe of vtune's:\n\n{recipe}"
    return (
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f"model = AutoModelForCausalLM.from_pretrained({destination.name!r})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({destination.name!r})\n```\n\n"
        f"or as the base of a recipe of vtune's:\n\n{recipe}"
    )


TARGET = FolderTarget("merged", "one merged model folder", tuple(TOLERANCES), require_merging, _write, merges=True)
