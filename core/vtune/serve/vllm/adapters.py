"""Voices to the names of models on a vLLM server."""

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
from vtune.serve.vllm.client import Client, VllmRefusalError


@dataclass(frozen=True, slots=True)
class _AdapterName:
    name: str
    why_not: str = ""


class Adapters:
    """The adapters of one server.

    A voice is loaded under a name that changes with its files, so that one made anew never speaks as it did before. A
    server that loads nothing on demand is asked for a model of the voice's own name: one that it was started with
    (``--lora-modules``), or that a resolver finds.

    :param settings: ``max_cpu_loras`` names are kept; the one that was longest unused is forgotten.
    """

    def __init__(self, client: Client, settings: VllmSettings) -> None:
        self._client, self._settings = client, settings
        self._lock = Lock()
        self._named: OrderedDict[Hashable, _AdapterName] = OrderedDict()

    def __len__(self) -> int:
        return len(self._named)

    def model_of(self, chosen: RequestedVoice) -> str:
        """Return the name that a voice has on the server, where it is loaded if need be.

        :raises UpstreamError: the server does not answer as it should.
        :raises VoiceError: no voice can have that name there.
        """
        known = self._named.get(chosen.key)
        if known is not None:  # without the lock: another voice may take its time to load
            with suppress(KeyError):  # somebody has just forgotten it
                self._named.move_to_end(chosen.key)
            return known.name
        with self._lock:
            if chosen.key not in self._named:
                self._named[chosen.key] = self._load(chosen)
            while len(self._named) > self._settings.max_cpu_loras:
                self._forget(self._named.popitem(last=False)[1])
            return self._named[chosen.key].name

    def missing(self, chosen: RequestedVoice) -> str:
        """Take note that the server does not know a voice, and return why it did not load it, if it would not."""
        with self._lock:
            known = self._named.pop(chosen.key, None)
        return known.why_not if known else ""

    def _load(self, chosen: RequestedVoice) -> _AdapterName:
        folder = chosen.parts[0].folder
        version = f"{folder.name}-{sha256(repr(chosen.key).encode()).hexdigest()[:8]}"
        elsewhere = self._settings.voices
        there = str(PurePosixPath(elsewhere) / folder.name) if elsewhere else os.path.abspath(folder.path)
        try:
            if not self._settings.load:
                return self._by_name(folder.name, "the settings say vllm: {load: false}")
            self._client.load(version, there)
        except VllmRefusalError as error:
            if "already been loaded" in str(error):
                return _AdapterName(version)
            # vLLM says 500 of an adapter that it cannot take, and of everything when its engine has died.
            if error.status >= 500 and not self._client.is_well():
                raise UpstreamAwayError(str(error)) from error
            return self._by_name(folder.name, str(error))
        return _AdapterName(version)

    def _by_name(self, name: str, why: str) -> _AdapterName:
        if any(model.id == name and model.parent is None for model in self._client.models()):
            raise VoiceError(f"vLLM calls its base {name!r}, so no voice can have that name")
        return _AdapterName(name, why)

    def _forget(self, known: _AdapterName) -> None:
        if not known.why_not:
            with suppress(VtuneError):  # what it does not have it need not forget
                self._client.unload(known.name)
