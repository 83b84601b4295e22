"""A vLLM server that runs already, or one that is started and ends with vtune."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

from vtune.errors import VtuneError, reason
from vtune.hub import load_pretrained
from vtune.serve.settings import VllmSettings
from vtune.serve.vllm.client import Client

KEY = "VLLM_API_KEY"
"""vLLM's own variable for its key."""

PATIENCE = 20.0
"""Seconds for vLLM to end by itself."""


class Process:
    """A vLLM server of one base, on this machine alone, with a key that nobody else has.

    :param rank: of the largest adapter, one of vLLM's sizes.
    :raises VtuneError: there is no such program.
    """

    def __init__(self, base: str, rank: int, settings: VllmSettings) -> None:
        port, key = _free_port(), secrets.token_urlsafe(32)
        command = [
            settings.command, "serve", base, "--host", "127.0.0.1", "--port", str(port), "--enable-lora",
            "--max-lora-rank", str(rank), "--max-loras", str(settings.max_loras),
            "--max-cpu-loras", str(max(settings.max_loras, settings.max_cpu_loras)), *_length(base, settings),
            *settings.arguments,
        ]  # fmt: skip
        there = {"VLLM_NO_USAGE_STATS": "1", **os.environ, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", KEY: key}
        try:
            # A session of its own: Ctrl-C is for vtune, which then ends this one with all that it has started.
            self._process = subprocess.Popen(command, env=there, stdout=sys.stderr, start_new_session=True)
        except OSError as error:
            raise VtuneError(
                f"{settings.command}: {error.strerror}; install vLLM into an environment of its own and name its "
                "program in the settings (vllm: {command: ...}), or name a server that runs: --backend http://..."
            ) from error
        self.client = Client(f"http://127.0.0.1:{port}", key, settings.patience)
        self._wait(settings.start)

    def kill(self) -> None:
        """End it at once, with all that it has started."""
        with suppress(ProcessLookupError):  # nothing of it is left
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        self.kill()
        self._process.wait()

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        try:
            while not self.client.is_well():
                code = self._process.poll()
                if code is not None:
                    raise VtuneError(f"vLLM ended with {code} before it served; its own lines above say why")
                if time.monotonic() > end:
                    raise VtuneError(f"vLLM did not serve within {seconds:g} s (vllm: {{start: ...}} in the settings)")
                time.sleep(0.2)
        except BaseException:
            self.close()
            raise


def start(base: str, rank: int, settings: VllmSettings) -> Process:
    """Start a server and wait until it serves. :raises VtuneError: it does not."""
    return Process(base, rank, settings)


def connect(url: str, settings: VllmSettings) -> Client:
    """Return the client of a server that runs, whose key is in ``VLLM_API_KEY``. :raises VtuneError: none answers."""
    client = Client(url, os.environ.get(KEY, ""), settings.patience)
    client.models()
    return client


def _length(base: str, settings: VllmSettings) -> list[str]:
    """Return the argument for the longest row; never more than the base has places for."""
    from transformers import AutoConfig

    try:
        places = int(load_pretrained(AutoConfig, base).max_position_embeddings)
    except (OSError, ValueError, AttributeError) as error:
        raise VtuneError(f"{base}: cannot be read as a base for vLLM: {reason(error)}") from error
    return ["--max-model-len", str(min(settings.max_model_len, places))]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
