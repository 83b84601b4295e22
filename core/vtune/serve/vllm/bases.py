"""Which base a vLLM server has, and which voices are of it: any other would speak noise."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from vtune.errors import VoiceError, VtuneError, listed
from vtune.runtime.paths import VoiceFolder
from vtune.serve.registry import RequestedVoice
from vtune.serve.vllm.client import Client
from vtune.voice_format.adapter_config import read_adapter_config
from vtune.voice_format.vllm_rules import LORA_RANKS, check_config, smallest_max_rank


def served_bases(client: Client) -> list[str]:
    """Return what the server's bases were loaded from: folders or Hub ids. :raises VtuneError: it has none."""
    bases = [model.root for model in client.models() if model.parent is None]
    if not bases:
        raise VtuneError(f"{client.url} serves no model")
    return bases


def require_base(voice: RequestedVoice, served: Iterable[str], options: Mapping[str, Any]) -> None:
    """Ask for a voice that a server with these bases can speak.

    Where ``base_model`` is an option of the server's, whoever set it has said that the weights are the same.

    :raises VoiceError: it cannot; says why.
    """
    folder, record = voice.parts[0].folder, voice.record
    if record.method != "lora":
        raise VoiceError(f"voice {voice.name!r} was fully fine-tuned: vLLM serves adapters of one base")
    check_config(folder)
    wanted, served = base_of(folder), list(served)
    if "base_model" not in options and not any(_same(wanted, one) for one in served):
        raise VoiceError(
            f"voice {voice.name!r} was trained on {wanted}, vLLM serves {listed(served, wanted)}; "
            "if these are the same weights, say where they lie: --set base_model=..."
        )


def base_to_serve(voices: Iterable[VoiceFolder], options: Mapping[str, Any]) -> tuple[str, int]:
    """Return the base to start a server with, and the rank that every adapter of it fits.

    :param options: ``base_model`` among them is the base; else the first voice's is.
    :raises VtuneError: there is no voice that tells.
    """
    base, fits = options.get("base_model"), 32
    for voice in voices:
        try:
            check_config(voice)
            found = base_of(voice)
        except (VtuneError, OSError, ValueError):
            continue  # a voice that vLLM does not take is refused when somebody asks for it
        base = base or found
        if "base_model" in options or _same(base, found):
            fits = max(fits, smallest_max_rank(read_adapter_config(voice.adapter_config)) or LORA_RANKS[-1])
    if not base:
        raise VtuneError("there is no voice that tells vLLM its base; put one there, or name it: --set base_model=...")
    return str(base), fits


def base_of(folder: VoiceFolder) -> str:
    """Return the base that an adapter names. :raises VoiceError: it names none."""
    base = read_adapter_config(folder.adapter_config).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise VoiceError(f"{folder.adapter_config} names no base; 'vtune export --to vllm' writes one that does")
    return base


def _same(one: str, other: str) -> bool:
    return one == other or os.path.realpath(one) == os.path.realpath(other)
