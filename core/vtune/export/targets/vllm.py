"""``--to vllm``: an adapter that vLLM serves unmerged beside others, and the command that serves it.

The rules for its configuration are in ``vtune.voice_format.vllm_rules``; the rule for its tensors is here.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.errors import VoiceError, listed
from vtune.export.network_class import is_plain, network_of
from vtune.export.result import ExportResult
from vtune.export.target import FolderTarget
from vtune.export.targets import peft
from vtune.runtime.paths import VoiceFolder
from vtune.runtime.untrusted import read_tensor_header

if TYPE_CHECKING:
    from vtune.export.source import ExportSource
    from vtune.voice_format.record import VoiceRecord

_NAMES = re.compile(r"^base_model\.model\.(?P<module>.+)\.(lora_[AB]\.weight|lora_embedding_[AB])$")


def _check(folder: VoiceFolder, record: VoiceRecord, directory: Path) -> None:
    from vtune.recipe.field_types import VOICE_NAME
    from vtune.voice_format.vllm_rules import check_config

    peft.check(folder, record, directory)
    if not re.match(VOICE_NAME, directory.resolve().name):
        raise VoiceError(
            f"{directory}: vLLM calls a model by its folder's name; name it with letters, digits, - and _ only"
        )
    check_config(folder)


def _write(source: ExportSource, directory: Path, destination: Path, dtype: str | None) -> ExportResult:
    """Write the adapter, read it back, and hold it to vLLM's rules.

    :raises VoiceError: vLLM does not serve the network, or a rule is broken.
    """
    from vtune.voice_format.adapter_config import read_adapter_config
    from vtune.voice_format.vllm_rules import check_config, smallest_max_rank
    from vtune.voice_format.weights import ADAPTER_FILE

    network = network_of(source.voice.model)
    if not is_plain(network):
        raise VoiceError(
            f"engine {source.engine.name!r}: vLLM does not serve its network ({type(network).__name__}), which is no "
            "causal language model of transformers'; export it --to peft or --to merged"
        )
    modules = _servable_modules(network)
    result = peft.write(source, directory, destination, dtype)
    if result.base is None:
        raise VoiceError(f"engine {source.engine.name!r} does not say where its base lies, so vLLM cannot load it")
    rules = {**check_config(VoiceFolder(directory)), **_check_tensors(directory / ADAPTER_FILE, modules)}
    rank = str(smallest_max_rank(read_adapter_config(VoiceFolder(directory).adapter_config)))
    use = "```sh\n" + "\n".join(_commands(result.base, rank, Path(destination.resolve().name))) + "\n```"
    form = replace(result.form, use=f"{use}\n\n{result.form.use}")
    return replace(result, form=form, rules=rules, commands=_commands(result.base, rank, destination))


def _servable_modules(network: Any) -> set[str]:
    """Return the ends of names of the modules that vLLM puts LoRA on: linear ones, the table of words and the head."""
    from torch import nn

    ends = (network.get_input_embeddings(), network.get_output_embeddings())
    inner = {id(getattr(end, "base_layer", end)) for end in ends}
    names = {
        name.removesuffix(".base_layer")
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) or id(module) in inner
    }
    return {name.rpartition(".")[2] for name in names}


def _check_tensors(path: Path, modules: set[str]) -> dict[str, str]:
    names = list(read_tensor_header(path)[0])
    module_names = [match["module"].rpartition(".")[2] if (match := _NAMES.match(name)) else None for name in names]
    strange = [name for name, end in zip(names, module_names, strict=True) if end not in modules]
    if strange:
        raise VoiceError(f"vLLM would not take {len(strange)} tensors of the adapter: {listed(strange)}")
    ends = sorted({end for end in module_names if end is not None})
    return {"targets are modules that vLLM adapts": ", ".join(ends)}


def _commands(base: str, rank: str, folder: Path) -> list[str]:
    serve = ["vllm", "serve", base, "--enable-lora", "--max-lora-rank", rank]
    resolver = {
        "VLLM_PLUGINS": "lora_filesystem_resolver",
        "VLLM_LORA_RESOLVER_CACHE_DIR": str(folder.parent),
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    }
    every = " ".join(f"{name}={shlex.quote(value)}" for name, value in resolver.items())
    return [
        shlex.join([*serve, "--lora-modules", f"{folder.resolve().name}={folder}"]),
        f"{every} {shlex.join(serve)}  # every adapter of the folder, by its name",
    ]


TARGET = FolderTarget("vllm", "an adapter that vLLM serves beside others", peft.TARGET.dtypes, _check, _write)
