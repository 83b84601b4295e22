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
from vtune.serve.registry import Chosen
from vtune.serve.vllm.client import AnswerError, Client


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    why_not: str = ""


class Adapters:
    """The adapters of one server.

    A voice is loaded under a name that changes with its files, so that one made anew never speaks as it did before. A
    server that loads nothing on demand is asked for a model of the voice's own name: one that it was started with
    (``--lora-modules``), or that a resolver finds.

    :param most: names that the server keeps; the one that was longest unused is forgotten.
    :param voices: the folder of voices as the server sees it, where its file system is another.
    """

    def __init__(self, client: Client, most: int, voices: str | None = None) -> None:
        self._client, self._most, self._voices = client, most, voices
        self._lock = Lock()
        self._named: OrderedDict[Hashable, _Named] = OrderedDict()

    def __len__(self) -> int:
        return len(self._named)

    def model_of(self, chosen: Chosen) -> str:
        """Return the name that a voice has on the server, where it is loaded if need be.

        :raises AwayError: the server does not answer.
        :raises VoiceError: no voice can have that name there.
        """
        known = self._named.get(chosen.key)
        if known is not None:
            return known.name  # without the lock: another voice may take its time to load
        with self._lock:
            if chosen.key not in self._named:
                self._named[chosen.key] = self._load(chosen)
            while len(self._named) > self._most:
                self._forget(self._named.popitem(last=False)[1])
            return self._named[chosen.key].name

    def missing(self, chosen: Chosen) -> str:
        """Take note that the server does not know a voice, and return why it did not load it, if it would not."""
        with self._lock:
            known = self._named.pop(chosen.key, None)
        return known.why_not if known else ""

    def _load(self, chosen: Chosen) -> _Named:
        folder = chosen.parts[0].folder
        version = f"{folder.name}-{sha256(repr(chosen.key).encode()).hexdigest()[:8]}"
        there = str(PurePosixPath(self._voices) / folder.name) if self._voices else os.path.abspath(folder.path)
        try:
            self._client.load(version, there)
        except AnswerError as error:
            if "already been loaded" in str(error):
                return _Named(version)
            if any(model.id == folder.name and model.parent is None for model in self._client.models()):
                raise VoiceError(f"vLLM calls its base {folder.name!r}, so no voice can have that name") from error
            return _Named(folder.name, str(error))
        return _Named(version)

    def _forget(self, known: _Named) -> None:
        if not known.why_not:
            with suppress(VtuneError):  # what it does not have it need not forget
                self._client.unload(known.name)
