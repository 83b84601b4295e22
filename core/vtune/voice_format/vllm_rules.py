"""Check ``adapter_config.json`` by vLLM's rules, from the source of vLLM 0.32, which refuses what it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vtune.errors import VoiceError
from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.adapter_config import read_adapter_config

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values that ``--max-lora-rank`` allows; vLLM's default is 16."""

_UNSUPPORTED_KEYS = (
    "use_dora",
    "lora_bias",
    "alora_invocation_tokens",
    "layer_replication",
    "use_bdlora",
    "use_qalora",
)
"""Keys of an adapter's configuration that vLLM refuses unless they are off."""

_NEUTRAL_INITIALISATIONS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
"""Values of ``init_lora_weights`` that leave the base as it is."""


def is_servable(folder: VoiceFolder) -> bool:
    """Tell whether vLLM can serve the adapter of a voice unmerged, next to other adapters of the same base.

    :raises VoiceError: ``adapter_config.json`` is damaged.
    """
    return folder.adapter_config.is_file() and not broken_rules(read_adapter_config(folder.adapter_config))


def check_config(folder: VoiceFolder) -> dict[str, str]:
    """Return vLLM's rules for ``adapter_config.json``, each with the value that was found.

    :raises VoiceError: names every rule that is broken.
    """
    config = read_adapter_config(folder.adapter_config)
    if broken := broken_rules(config):
        raise VoiceError(
            f"vLLM does not serve an adapter with {', '.join(broken)}; export it --to merged, which vLLM can serve"
        )
    scaling = "alpha / sqrt(rank), which vLLM knows" if config.get("use_rslora") else "alpha / rank"
    patterns = [name for name in ("rank_pattern", "alpha_pattern") if config.get(name)]
    return {
        "rank fits --max-lora-rank": f"{largest_rank(config)} of {smallest_max_rank(config)}",
        "no modules_to_save": "none",
        "no DoRA, no bias, no other variant": "none",
        "scaling": f"{scaling}, for each module by {' and '.join(patterns)}" if patterns else scaling,
    }


def broken_rules(config: Mapping[str, Any]) -> list[str]:
    """Return the settings of an adapter that vLLM does not serve, a few words for each; empty if there are none."""
    rank, full_modules, init = (
        largest_rank(config),
        config.get("modules_to_save") or [],
        config.get("init_lora_weights", True),
    )
    unsupported = [name for name in _UNSUPPORTED_KEYS if config.get(name)]
    is_neutral = not isinstance(init, str) or init.lower() in _NEUTRAL_INITIALISATIONS
    return [
        *([f"peft_type {config.get('peft_type')}"] if config.get("peft_type") != "LORA" else []),
        *([f"rank {rank}, more than {LORA_RANKS[-1]}"] if smallest_max_rank(config) is None else []),
        *([f"modules_to_save ({', '.join(full_modules)})"] if full_modules else []),
        *(["bias"] if config.get("bias", "none") != "none" else []),
        *("DoRA" if name == "use_dora" else name for name in unsupported),
        *([] if is_neutral else [f"init_lora_weights {init}, which changes the base"]),
    ]


def largest_rank(config: Mapping[str, Any]) -> int:
    """Return the largest rank that an adapter has in any module."""
    return int(max([config["r"], *(config.get("rank_pattern") or {}).values()]))


def smallest_max_rank(config: Mapping[str, Any]) -> int | None:
    """Return the smallest ``--max-lora-rank`` that an adapter fits, None if its rank is too large for vLLM."""
    return next((allowed for allowed in LORA_RANKS if allowed >= largest_rank(config)), None)
