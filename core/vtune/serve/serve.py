"""Serve the voices of a folder until somebody ends it."""

from __future__ import annotations

import importlib.util
import logging
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from vtune.errors import VtuneError
from vtune.runtime.hostnames import is_loopback, server_url
from vtune.serve.api_keys import API_KEYS_VARIABLE, read_keys
from vtune.serve.backend import Backend
from vtune.serve.backends import IN_PROCESS, open_backend
from vtune.serve.lifecycle import Lifecycle
from vtune.serve.registry import VoiceRegistry
from vtune.serve.settings import ServeSettings, read_settings
from vtune.serve.stop_signals import StopSignals

logger = logging.getLogger(__name__)


def serve(
    voices: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    backend: str = IN_PROCESS,
    config: Path | None = None,
    keys: Path | None = None,
    device: str = "auto",
    options: Mapping[str, Any] | None = None,
    log_text: bool = False,
    started: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until Ctrl-C or SIGTERM; a second signal ends the process at once.

    :param voices: the folder of voices; it is read anew for each request.
    :param host: the address to listen on; an address that other machines can reach needs API keys.
    :param port: 0 takes a free port.
    :param backend: ``in-process``; ``vllm`` to start one; or the URL of a vLLM server that runs.
    :param config: a YAML file of ``ServeSettings``.
    :param keys: a file of API keys, one a line; ``VTUNE_API_KEYS`` may hold further keys.
    :param options: engine options of every voice on this server; they replace those of the training.
    :param started: is called with the server's URL.
    :raises VtuneError: the extra is missing, the settings are wrong, the port is taken, or vLLM does not serve.
    """
    missing = [name for name in ("fastapi", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise VtuneError(f"vtune serve needs {' and '.join(missing)}; install vtune-tts with the extra 'serve'")
    settings = read_settings(config) if config else ServeSettings()
    api_keys = read_keys(keys)
    if not api_keys and not is_loopback(host):
        raise VtuneError(
            f"other machines can reach {host}, so the server needs API keys: name a file with --keys, or set "
            f"{API_KEYS_VARIABLE}"
        )
    if not voices.is_dir():
        raise VtuneError(f"there is no folder of voices {voices}")
    from vtune.serve.app import create_app
    from vtune.serve.connections import uvicorn_config
    from vtune.serve.uvicorn_server import StoppableServer

    registry = VoiceRegistry(voices, settings.aliases, options or {}, settings.mix_voices)
    lifecycle = Lifecycle(settings.drain_seconds)
    with (
        StopSignals() as signals,
        _bound(host, port) as listening,
        closing(open_backend(backend, registry, settings, device, options or {})) as speaking,
    ):
        signals.kill = speaking.kill
        app = create_app(
            registry, speaking, settings, keys=api_keys, host=host, write=_write, log_text=log_text, lifecycle=lifecycle
        )
        _preload(registry, speaking, settings)
        serving = uvicorn_config(app, settings, _write)
        logging.getLogger("uvicorn").setLevel(logging.ERROR)
        started(server_url(host, listening.getsockname()[1]))
        StoppableServer(serving, lifecycle, speaking, signals).run(sockets=[listening])
        if (failure := speaking.failure()) is not None:
            raise failure


def _preload(registry: VoiceRegistry, backend: Backend, settings: ServeSettings) -> None:
    names = list(registry.voices())[:1] if settings.preload is None else settings.preload
    for name in names:
        try:
            backend.prepare(registry.find(name))
        except VtuneError as error:
            logger.warning("voice %r cannot be loaded: %s", name, error)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        where = f"{host} port {port}" if port else host
        reason = getattr(error, "strerror", None) or str(error)
        hint = "; --port 0 takes a free one" if port else ""
        raise VtuneError(f"cannot serve at {where}: {reason}{hint}") from error


def _write(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
