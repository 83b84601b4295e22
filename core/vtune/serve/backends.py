"""Open the backend that the user named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vtune.errors import VtuneError, nearest, shown
from vtune.serve.backend import Backend
from vtune.serve.registry import VoiceRegistry
from vtune.serve.settings import ServeSettings
from vtune.voice_format.record import list_voices

IN_PROCESS, VLLM = "in-process", "vllm"


def open_backend(
    name: str, registry: VoiceRegistry, settings: ServeSettings, device: str, options: Mapping[str, Any]
) -> Backend:
    """Open a backend.

    :param name: ``in-process``; ``vllm``, which starts one; or the URL of a vLLM server that runs.
    :raises VtuneError: there is no such backend, vLLM cannot be started, or no vLLM answers at that URL.
    """
    if name == IN_PROCESS:
        from vtune.serve.inprocess import InProcessBackend

        return InProcessBackend(settings, device, options)
    if name != VLLM and "://" not in name:
        hint = nearest(name, (IN_PROCESS, VLLM))
        raise VtuneError(
            f"there is no backend {shown(name)}{hint} (backends: {IN_PROCESS}, {VLLM}, or the URL of a vLLM server)"
        )
    from vtune.serve.vllm import VllmBackend, connect, start
    from vtune.serve.vllm.bases import base_to_serve

    if name != VLLM:
        return VllmBackend(connect(name, settings.vllm), settings, device, options)
    base, rank = base_to_serve(list_voices(registry.folder), options)
    return VllmBackend(start(base, rank, settings.vllm), settings, device, options)
