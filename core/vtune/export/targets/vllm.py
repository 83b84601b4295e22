"""``--to vllm``: an adapter that vLLM serves unmerged beside others, and the line that serves it.

What vLLM asks of an adapter was read in its source (0.32): what it does not know it refuses when the adapter is loaded.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from vtune.errors import VoiceError, listed
from vtune.export.network_class import is_plain, network_of
from vtune.export.result import Written
from vtune.export.source import Source
from vtune.export.targets import peft
from vtune.recipe.model import VOICE_NAME
from vtune.runtime.paths import VoiceFolder
from vtune.runtime.untrusted import read_tensor_header
from vtune.voice_format.adapter_config import read_adapter_config
from vtune.voice_format.record import VoiceRecord
from vtune.voice_format.weights import ADAPTER

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What ``--max-lora-rank`` may be; vLLM's default is 16."""

_UNKNOWN = ("use_dora", "lora_bias", "alora_invocation_tokens", "layer_replication", "use_bdlora", "use_qalora")
"""Keys of an adapter's configuration that vLLM refuses unless they are off."""

_INITS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
"""Ways to begin an adapter that leave the base as it is."""

_NAMES = re.compile(r"^base_model\.model\.(?P<module>.+)\.(lora_[AB]\.weight|lora_embedding_[AB])$")


def require(folder: VoiceFolder, record: VoiceRecord, place: Path, dtype: str | None) -> None:
    """Refuse before anything is loaded. :raises VoiceError: vLLM would not take the adapter; says why."""
    peft.require(folder, record, place, dtype)
    if not re.match(VOICE_NAME, place.resolve().name):
        raise VoiceError(
            f"{place}: vLLM calls a model by its folder's name; name it with letters, digits, - and _ only"
        )
    check_config(folder)


def write(source: Source, directory: Path, place: Path, dtype: str | None) -> Written:
    """Write the adapter, read it back, and hold it to vLLM's rules.

    :raises VoiceError: vLLM does not serve the network, or a rule is broken.
    """
    network = network_of(source.voice.model)
    if not is_plain(network):
        raise VoiceError(
            f"engine {source.engine.name!r}: vLLM does not serve its network ({type(network).__name__}), which is no "
            "causal language model of transformers'; export it --to peft or --to merged"
        )
    modules = _servable_modules(network)
    written = peft.write(source, directory, place, dtype)
    if written.base is None:
        raise VoiceError(f"engine {source.engine.name!r} does not say where its base lies, so vLLM cannot load it")
    rules = {**check_config(VoiceFolder(directory)), **_check_tensors(directory / ADAPTER, modules)}
    rank = str(ranks(VoiceFolder(directory))[1])
    use = "```sh\n" + "\n".join(_commands(written.base, rank, Path(place.resolve().name))) + "\n```"
    form = replace(written.form, use=f"{use}\n\n{written.form.use}")
    return replace(written, form=form, rules=rules, commands=_commands(written.base, rank, place))


def check_config(folder: VoiceFolder) -> dict[str, str]:
    """Return vLLM's rules for ``adapter_config.json`` with what was found.

    :raises VoiceError: names every one that is broken.
    """
    config = _config(folder)
    rank, fits = ranks(folder)
    whole, init = config.get("modules_to_save") or [], config.get("init_lora_weights", True)
    unknown = [name for name in _UNKNOWN if config.get(name)]
    known_init = not isinstance(init, str) or init.lower() in _INITS
    broken = [
        *([f"peft_type {config.get('peft_type')}"] if config.get("peft_type") != "LORA" else []),
        *([f"rank {rank}, more than {RANKS[-1]}"] if fits is None else []),
        *([f"modules_to_save ({', '.join(whole)})"] if whole else []),
        *(["bias"] if config.get("bias", "none") != "none" else []),
        *(["DoRA" if name == "use_dora" else name for name in unknown]),
        *([] if known_init else [f"init_lora_weights {init}, which changes the base"]),
    ]
    if broken:
        raise VoiceError(
            f"vLLM does not serve an adapter with {', '.join(broken)}; export it --to merged, which it serves whole"
        )
    return {
        "rank fits --max-lora-rank": f"{rank} of {fits}",
        "no modules_to_save": "none",
        "no DoRA, no bias, no other variant": "none",
        "scaling": "alpha / sqrt(rank), which vLLM knows" if config.get("use_rslora") else "alpha / rank",
    }


def _config(folder: VoiceFolder) -> dict[str, Any]:
    return read_adapter_config(folder.adapter_config)


def ranks(folder: VoiceFolder) -> tuple[int, int | None]:
    """Return an adapter's largest rank of any module, and the smallest ``--max-lora-rank`` that it fits."""
    config = _config(folder)
    rank = max([config["r"], *(config.get("rank_pattern") or {}).values()])
    return rank, next((allowed for allowed in RANKS if allowed >= rank), None)


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
    found = [match["module"].rpartition(".")[2] if (match := _NAMES.match(name)) else None for name in names]
    strange = [name for name, end in zip(names, found, strict=True) if end not in modules]
    if strange:
        raise VoiceError(f"vLLM would not take {len(strange)} tensors of the adapter: {listed(strange)}")
    ends = sorted({end for end in found if end is not None})
    return {"targets are modules that vLLM adapts": ", ".join(ends)}


def _commands(base: str, rank: str, place: Path) -> list[str]:
    serve = ["vllm", "serve", base, "--enable-lora", "--max-lora-rank", rank]
    resolver = {
        "VLLM_PLUGINS": "lora_filesystem_resolver",
        "VLLM_LORA_RESOLVER_CACHE_DIR": str(place.parent),
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    }
    every = " ".join(f"{name}={shlex.quote(value)}" for name, value in resolver.items())
    return [
        shlex.join([*serve, "--lora-modules", f"{place.resolve().name}={place}"]),
        f"{every} {shlex.join(serve)}  # every adapter of the folder, by its name",
    ]
