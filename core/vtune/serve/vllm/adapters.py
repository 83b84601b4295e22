"""Load the adapters of voices into a vLLM server, and map each voice to the name of its model there."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from threading import Lock

from vtune.errors import VoiceError, VtuneError
from vtune.serve.failures import UpstreamAwayError
from vtune.serve.registry import RequestedVoice
from vtune.serve.settings import VllmSettings
from vtune.serve.vllm.client import VllmClient, VllmRefusalError


@dataclass(frozen=True, slots=True)
class _AdapterName:
    name: str
    why_not: str = ""


class Adapters:
    """The adapters of one server.

    A voice is loaded under a name that changes with its files, so that a voice that was made anew never speaks with its
    old adapter. If a server loads nothing on demand, requests use the voice's own name: the server was started with
    this adapter (``--lora-modules``), or a resolver finds it.

    :param settings: ``max_cpu_loras`` adapters are kept; the least recently used adapter is removed.
    """

    def __init__(self, client: VllmClient, settings: VllmSettings) -> None:
        self._client, self._settings = client, settings
        self._lock = Lock()
        self._named: OrderedDict[Hashable, _AdapterName] = OrderedDict()

    def __len__(self) -> int:
        return len(self._named)

    def model_of(self, chosen: RequestedVoice) -> str:
        """Return the name of a voice on the server; load the voice if necessary.

        :raises UpstreamError: the answer of the server is not vLLM's.
        :raises VoiceError: the base on the server has the name of this voice.
        """
        adapter = self._named.get(chosen.key)
        if adapter is not None:  # without the lock: another voice may take its time to load
            with suppress(KeyError):  # another thread has just removed it
                self._named.move_to_end(chosen.key)
            return adapter.name
        with self._lock:
            if chosen.key not in self._named:
                self._named[chosen.key] = self._load(chosen)
            while len(self._named) > self._settings.max_cpu_loras:
                self._forget(self._named.popitem(last=False)[1])
            return self._named[chosen.key].name

    def missing(self, chosen: RequestedVoice) -> str:
        """Record that the server does not know a voice; return why the server refused to load it, or an empty text."""
        with self._lock:
            adapter = self._named.pop(chosen.key, None)
        return adapter.why_not if adapter else ""

    def _load(self, chosen: RequestedVoice) -> _AdapterName:
        folder = chosen.parts[0].folder
        version = f"{folder.name}-{sha256(repr(chosen.key).encode()).hexdigest()[:8]}"
        voices_on_server = self._settings.voices
        path_on_server = (
            str(PurePosixPath(voices_on_server) / folder.name) if voices_on_server else os.path.abspath(folder.path)
        )
        try:
            if not self._settings.load:
                return self._by_name(folder.name, "the settings say vllm: {load: false}")
            self._client.load(version, path_on_server)
        except VllmRefusalError as error:
            if "already been loaded" in str(error):
                return _AdapterName(version)
            # vLLM answers 500 for an adapter that it cannot load, and for every request after its engine has died.
            if error.status >= 500 and not self._client.is_healthy():
                raise UpstreamAwayError(str(error)) from error
            return self._by_name(folder.name, str(error))
        return _AdapterName(version)

    def _by_name(self, name: str, why: str) -> _AdapterName:
        if any(model.id == name and model.parent is None for model in self._client.models()):
            raise VoiceError(f"vLLM calls its base {name!r}, so no voice can have that name")
        return _AdapterName(name, why)

    def _forget(self, adapter: _AdapterName) -> None:
        if not adapter.why_not:
            with suppress(VtuneError):  # the server may not have this adapter any more
                self._client.unload(adapter.name)
