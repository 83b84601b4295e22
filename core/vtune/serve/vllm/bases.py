"""Find the base of a vLLM server, and refuse voices of another base, which would speak noise."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from vtune.errors import VoiceError, VtuneError, listed
from vtune.runtime.paths import VoiceFolder
from vtune.serve.registry import RequestedVoice
from vtune.serve.vllm.client import VllmClient
from vtune.voice_format.adapter_config import read_adapter_config
from vtune.voice_format.vllm_rules import LORA_RANKS, check_config, smallest_max_rank


def served_bases(client: VllmClient) -> list[str]:
    """Return the folders or Hub ids of the server's bases. :raises VtuneError: the server has no base."""
    bases = [model.root for model in client.models() if model.parent is None]
    if not bases:
        raise VtuneError(f"{client.url} serves no model")
    return bases


def require_base(voice: RequestedVoice, served: Iterable[str], options: Mapping[str, Any]) -> None:
    """Refuse a voice that a server with these bases cannot speak with.

    A user who sets the option ``base_model`` states that the weights are the same.

    :raises VoiceError: the voice does not fit; the message says why.
    """
    folder, record = voice.parts[0].folder, voice.record
    if record.method != "lora":
        raise VoiceError(f"voice {voice.name!r} was fully fine-tuned: vLLM serves adapters of one base")
    check_config(folder)
    trained_on, served = base_of(folder), list(served)
    if "base_model" not in options and not any(_same(trained_on, base) for base in served):
        raise VoiceError(
            f"voice {voice.name!r} was trained on {trained_on}, but vLLM serves {listed(served, trained_on)}; "
            "if these are the same weights, name their folder: --set base_model=..."
        )


def base_to_serve(voices: Iterable[VoiceFolder], options: Mapping[str, Any]) -> tuple[str, int]:
    """Return the base to start a server with, and a ``--max-lora-rank`` that every adapter of the base fits.

    :param options: the base is ``base_model`` in these options, else the base of the first voice.
    :raises VtuneError: no voice names a base.
    """
    base, max_rank = options.get("base_model"), 32
    for voice in voices:
        try:
            check_config(voice)
            base_of_voice = base_of(voice)
        except (VtuneError, OSError, ValueError):
            continue  # a voice that vLLM does not take is refused when a request names it
        base = base or base_of_voice
        if "base_model" in options or _same(base, base_of_voice):
            max_rank = max(max_rank, smallest_max_rank(read_adapter_config(voice.adapter_config)) or LORA_RANKS[-1])
    if not base:
        raise VtuneError("no voice in the folder names a base for vLLM; add a voice, or name it: --set base_model=...")
    return str(base), max_rank


def base_of(folder: VoiceFolder) -> str:
    """Return the base that an adapter names. :raises VoiceError: the adapter names no base."""
    base = read_adapter_config(folder.adapter_config).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise VoiceError(
            f"{folder.adapter_config} names no base; 'vtune export --to vllm' writes an adapter that names its base"
        )
    return base


def _same(first: str, second: str) -> bool:
    return first == second or os.path.realpath(first) == os.path.realpath(second)
