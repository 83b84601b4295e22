"""Connect to a vLLM server that runs, or start a server that ends with vtune."""

from __future__ import annotations

import os
import secrets
import socket

from vtune.errors import VtuneError, reason
from vtune.serve.settings import VllmSettings
from vtune.serve.vllm.bases import served_bases
from vtune.serve.vllm.client import VllmClient
from vtune.serve.vllm.process import VllmProcess
from vtune.serve.vllm.watch import ExternalServer, StartedServer
from vtune.toolkit.hub import load_pretrained

KEY_VARIABLE = "VLLM_API_KEY"
"""vLLM's own environment variable for its API key."""


def start(base: str, rank: int, settings: VllmSettings) -> StartedServer:
    """Start a server of one base, for this machine only, with a random key; the server needs some time to be ready.

    :param rank: rank of the largest adapter, rounded up to a rank that vLLM accepts.
    :raises VtuneError: the program or the base does not exist.
    """
    length = _length(base, settings)

    def launch() -> tuple[VllmProcess, VllmClient]:
        port, key = _free_port(), secrets.token_urlsafe(32)
        command = [
            settings.command, "serve", base, "--host", "127.0.0.1", "--port", str(port), "--enable-lora",
            "--max-lora-rank", str(rank), "--max-loras", str(settings.max_loras),
            "--max-cpu-loras", str(max(settings.max_loras, settings.max_cpu_loras)), "--max-model-len", str(length),
            *settings.arguments,
        ]  # fmt: skip
        environment = {
            "VLLM_NO_USAGE_STATS": "1",
            **os.environ,
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
            KEY_VARIABLE: key,
        }
        return VllmProcess(command, environment), VllmClient(f"http://127.0.0.1:{port}", key, settings.patience)

    return StartedServer(launch, settings)


def connect(url: str, settings: VllmSettings) -> ExternalServer:
    """Connect to a server whose key is in ``VLLM_API_KEY``. :raises VtuneError: its answer is not vLLM's."""
    client = VllmClient(url, os.environ.get(KEY_VARIABLE, ""), settings.patience)
    served_bases(client)
    return ExternalServer(client, settings)


def _length(base: str, settings: VllmSettings) -> int:
    """Return the largest number of tokens in a sequence: the setting, or the base's limit if that is lower."""
    from transformers import AutoConfig

    try:
        max_positions = int(load_pretrained(AutoConfig, base).max_position_embeddings)
    except (OSError, ValueError, AttributeError) as error:
        raise VtuneError(f"{base} cannot be read as a base for vLLM: {reason(error)}") from error
    return min(settings.max_model_len, max_positions)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
