"""Connect to a vLLM server that runs, or start a server that ends with vtune."""

from __future__ import annotations

import os
import secrets
import socket

from vtune.errors import VtuneError, reason
from vtune.serve.settings import VllmSettings
from vtune.serve.vllm.bases import served_bases
from vtune.serve.vllm.client import Client
from vtune.serve.vllm.process import Process
from vtune.serve.vllm.watch import Elsewhere, Started
from vtune.toolkit.hub import load_pretrained

KEY = "VLLM_API_KEY"
"""vLLM's own environment variable for its API key."""


def start(base: str, rank: int, settings: VllmSettings) -> Started:
    """Start a server of one base, for this machine only, with a random key; it is ready some time later.

    :param rank: of the largest adapter, one of vLLM's sizes.
    :raises VtuneError: there is no such program, or no such base.
    """
    length = _length(base, settings)

    def launch() -> tuple[Process, Client]:
        port, key = _free_port(), secrets.token_urlsafe(32)
        command = [
            settings.command, "serve", base, "--host", "127.0.0.1", "--port", str(port), "--enable-lora",
            "--max-lora-rank", str(rank), "--max-loras", str(settings.max_loras),
            "--max-cpu-loras", str(max(settings.max_loras, settings.max_cpu_loras)), "--max-model-len", str(length),
            *settings.arguments,
        ]  # fmt: skip
        there = {"VLLM_NO_USAGE_STATS": "1", **os.environ, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", KEY: key}
        return Process(command, there), Client(f"http://127.0.0.1:{port}", key, settings.patience)

    return Started(launch, settings)


def connect(url: str, settings: VllmSettings) -> Elsewhere:
    """Connect to a server whose key is in ``VLLM_API_KEY``. :raises VtuneError: it does not answer as vLLM does."""
    client = Client(url, os.environ.get(KEY, ""), settings.patience)
    served_bases(client)
    return Elsewhere(client, settings)


def _length(base: str, settings: VllmSettings) -> int:
    """Return the tokens of the longest row; never more than the base has places for."""
    from transformers import AutoConfig

    try:
        places = int(load_pretrained(AutoConfig, base).max_position_embeddings)
    except (OSError, ValueError, AttributeError) as error:
        raise VtuneError(f"{base} cannot be read as a base for vLLM: {reason(error)}") from error
    return min(settings.max_model_len, places)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
